//! The frame shared by all fused operations: from Burn's tensors to slices, and from a backward over slices to Burn's graph.
//!
//! Burn's `backend_extension` macro wants one trait method per operation and a version for every device. Fused
//! operations exist for the CPU alone and differ only in their two functions over slices, so an operation here is a
//! value that implements [`Operation`], and [`record`] is the only code that knows the graph.

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, BackendTensor, DispatchAutodiffContext, DispatchTensor, DispatchTensorKind, Flex,
    TensorMetadata,
};
use burn::tensor::{Shape, Tensor, TensorData};
use eliverec_core::profile::{self, Part};

type Values = FloatTensor<Flex>;
type Tracked = FloatTensor<Autodiff<Flex>>;

/// Whether a forward keeps what only a backward reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// A backward will follow.
    ForBackward,
    /// None will: nothing is kept.
    Nothing,
}

/// An operation of `N` tensors on plain row-major slices, with its own backward.
pub(super) trait Operation<const N: usize>: Debug + Send + Sync + 'static {
    /// What the backward needs besides the inputs.
    type Saved: Debug + Send + Sync + 'static;

    /// What its time counts as in a profile, but for what it does within another part.
    const PART: Part;

    /// The output with its `[rows, columns]`, and what the backward needs.
    fn forward(&self, inputs: [&[f32]; N], keep: Keep) -> (Vec<f32>, [usize; 2], Self::Saved);

    /// From the gradient of the output to that of every input.
    fn backward(&self, inputs: [&[f32]; N], saved: &Self::Saved, gradient: &[f32])
    -> [Vec<f32>; N];
}

/// What a recorded operation holds until its backward.
#[derive(Debug)]
struct Step<O: Operation<N>, const N: usize> {
    operation: O,
    inputs: [Values; N],
    saved: O::Saved,
}

/// The operation as a node of Burn's graph.
#[derive(Debug)]
struct Node<O>(std::marker::PhantomData<fn() -> O>);

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Node<O> {
    type State = Arc<Step<O, N>>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let gradient = contiguous(gradient);
        let step = ops.state;
        let inputs = step.inputs.each_ref();
        let results = {
            let _within = profile::within(O::PART);
            let inputs = inputs.map(Values::storage::<f32>);
            step.operation.backward(inputs, &step.saved, gradient.storage::<f32>())
        };
        for ((parent, input), result) in ops.parents.into_iter().zip(inputs).zip(results) {
            if let Some(parent) = parent {
                gradients.register::<Flex>(parent.id, tensor(result, input.shape()));
            }
        }
    }
}

/// Whether fused operations can run on the tensor: 32-bit floats on the CPU backend.
pub(super) fn on_cpu(input: &DispatchTensor) -> bool {
    let kind =
        if let DispatchTensorKind::Autodiff(inner) = &input.kind { inner } else { &input.kind };
    matches!(kind, DispatchTensorKind::Flex(_)) && input.kind.dtype() == burn::tensor::DType::F32
}

/// Runs the operation, and records its backward if an input is tracked.
///
/// # Panics
/// If an input is not on the CPU backend or not of 32-bit floats.
pub(super) fn record<O: Operation<N>, const N: usize>(
    operation: O,
    inputs: [DispatchTensor; N],
) -> Tensor<2> {
    let disabled = DispatchAutodiffContext::Disabled;
    let context = inputs.iter().map(|input| input.autodiff).find(|context| *context != disabled);
    let Some(context) = context else {
        let inputs = inputs.map(|input| contiguous(untracked(input.kind)));
        let output = run(&operation, &inputs, Keep::Nothing).0;
        let kind = DispatchTensorKind::Flex(BackendTensor::Float(output));
        return Tensor::from_dispatch(DispatchTensor { kind, autodiff: disabled });
    };
    let mut values = Vec::with_capacity(N);
    let nodes = inputs.map(|input| {
        let (input, node) = tracked(input.kind).into_parts();
        values.push(contiguous(input));
        node
    });
    let inputs: [Values; N] = values.try_into().expect("one tensor was pushed per input");
    let node = Node::<O>(std::marker::PhantomData);
    let output = match node.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (output, saved) = run(&operation, &inputs, Keep::ForBackward);
            prepared.finish(Arc::new(Step { operation, inputs, saved }), output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(run(&operation, &inputs, Keep::Nothing).0),
    };
    let kind = DispatchTensorKind::Flex(BackendTensor::Autodiff(output));
    let kind = DispatchTensorKind::Autodiff(Box::new(kind));
    Tensor::from_dispatch(DispatchTensor { kind, autodiff: context })
}

fn run<O: Operation<N>, const N: usize>(
    operation: &O,
    inputs: &[Values; N],
    keep: Keep,
) -> (Values, O::Saved) {
    let slices = inputs.each_ref().map(Values::storage::<f32>);
    let (output, shape, saved) = {
        let _within = profile::within(O::PART);
        operation.forward(slices, keep)
    };
    (tensor(output, Shape::new(shape)), saved)
}

fn tensor(values: Vec<f32>, shape: Shape) -> Values {
    Values::from_data(TensorData::new(values, shape))
}

fn contiguous(values: Values) -> Values {
    let _within = profile::within(Part::Copies);
    values.to_contiguous()
}

fn untracked(kind: DispatchTensorKind) -> Values {
    tracked(kind).into_primitive()
}

/// The tensor as the graph sees it; a plain one becomes a constant.
fn tracked(kind: DispatchTensorKind) -> Tracked {
    let kind = if let DispatchTensorKind::Autodiff(inner) = kind { *inner } else { kind };
    let DispatchTensorKind::Flex(input) = kind else {
        panic!("a fused operation runs on the CPU backend only, got {kind:?}");
    };
    if let BackendTensor::Autodiff(input) = input { input } else { Tracked::new(input.float()) }
}
