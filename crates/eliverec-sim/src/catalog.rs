//! The goods: departments, categories, brands and products, shared by both domains.

use eliverec_core::seed::{Random, stream};

use crate::config::parameter::{
    BRANDS_PER_DEPARTMENT, CATEGORIES, CATEGORIES_PER_DEPARTMENT, DEPARTMENTS, PRICE_DISTANCE,
};

/// Price tiers: cheap, middle, dear.
pub(crate) const TIERS: usize = 3;

/// The department of a category.
pub(crate) fn department(category: u8) -> usize {
    usize::from(category) / CATEGORIES_PER_DEPARTMENT
}

/// Ids count from 1, in products and channels alike: the vocabulary is shared.
pub(crate) fn category_id(category: u8) -> u64 {
    u64::from(category) + 1
}

#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) category: u8,
    pub(crate) brand: u16,
    pub(crate) tier: u8,
    pub(crate) price: f32,
}

/// All goods; products lie category by category, the popular ones of a category first.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    products: Vec<Product>,
    per_category: usize,
    /// Running sums of the categories' popularity.
    popularity: Vec<f64>,
    /// How much the goods gain from being shown by somebody, 0 to 2 (Sec. VI-D: clothes do).
    display: [u8; CATEGORIES],
}

impl Catalog {
    pub(crate) fn new(per_category: usize, seed: u64) -> Self {
        let mut random = Random::new(stream(seed, "sim/catalog"));
        let mut ranks: Vec<usize> = (0..CATEGORIES).collect();
        random.shuffle(&mut ranks);
        let mut sum = 0.0;
        let popularity = ranks
            .iter()
            .map(|rank| {
                sum += 1.0 / (4.0 + *rank as f64);
                sum
            })
            .collect();
        let display = std::array::from_fn(|_| random.below(3) as u8);
        let mut products = Vec::with_capacity(CATEGORIES * per_category);
        for category in 0..CATEGORIES {
            // A category has a usual price; a tier is a factor on it.
            let usual = 10.0 * (1.0 + 30.0 * random.uniform());
            for _ in 0..per_category {
                let tier = random.below(TIERS);
                let factor = [0.4, 1.0, 2.8][tier] * (0.75 + 0.5 * random.uniform());
                let brand = department(category as u8) * BRANDS_PER_DEPARTMENT
                    + skewed(BRANDS_PER_DEPARTMENT, &mut random);
                products.push(Product {
                    category: category as u8,
                    brand: brand as u16,
                    tier: tier as u8,
                    price: ((usual * factor * 100.0).round() / 100.0) as f32,
                });
            }
        }
        Self { products, per_category, popularity, display }
    }

    pub(crate) fn len(&self) -> usize {
        self.products.len()
    }

    pub(crate) fn product(&self, index: u32) -> &Product {
        &self.products[index as usize]
    }

    pub(crate) fn display(&self, category: u8) -> u8 {
        self.display[usize::from(category)]
    }

    /// A category by its popularity.
    pub(crate) fn category(&self, random: &mut Random) -> u8 {
        let all = self.popularity[CATEGORIES - 1];
        let drawn = random.uniform() * all;
        self.popularity.partition_point(|sum| *sum <= drawn).min(CATEGORIES - 1) as u8
    }

    /// A category of the same department, perhaps the same one.
    pub(crate) fn relative(category: u8, random: &mut Random) -> u8 {
        let first = department(category) * CATEGORIES_PER_DEPARTMENT;
        (first + random.below(CATEGORIES_PER_DEPARTMENT)) as u8
    }

    /// A product of the category by its popularity.
    pub(crate) fn product_of(&self, category: u8, random: &mut Random) -> u32 {
        (usize::from(category) * self.per_category + skewed(self.per_category, random)) as u32
    }

    /// A product of the category for a user who looks at up to four and takes the first that fits purse and brands.
    pub(crate) fn product_for(
        &self,
        category: u8,
        tier: u8,
        brands: [u16; 2],
        random: &mut Random,
    ) -> u32 {
        let mut product = self.product_of(category, random);
        for _ in 0..3 {
            let looked_at = self.product(product);
            let brand = if brands.contains(&looked_at.brand) { 1.0 } else { 0.6 };
            if random.uniform() < brand * PRICE_DISTANCE[price_distance(looked_at.tier, tier)] {
                break;
            }
            product = self.product_of(category, random);
        }
        product
    }
}

pub(crate) fn price_distance(a: u8, b: u8) -> usize {
    usize::from(a.abs_diff(b))
}

/// One of `0..n`, small ones more often: the density falls like x^(-0.55), as sales of a catalogue do.
fn skewed(n: usize, random: &mut Random) -> usize {
    let u = random.uniform();
    ((n as f64 * u * u.sqrt().sqrt() * u) as usize).min(n - 1)
}

/// One of the outcomes by weight; `None` if all weigh nothing.
pub(crate) fn choose(weights: &[f64], random: &mut Random) -> Option<usize> {
    let all: f64 = weights.iter().sum();
    if all <= 0.0 {
        return None;
    }
    let mut left = random.uniform() * all;
    for (index, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return Some(index);
        }
    }
    weights.iter().rposition(|weight| *weight > 0.0)
}

/// Demographic groups prefer departments: 1, 2 or 4 times as often, fixed by the numbers of group and department.
pub(crate) fn department_weight(gender: u8, age: u8, department: usize) -> f64 {
    let group = usize::from(gender) * 7 + usize::from(age / 2) * 3;
    [1.0, 2.0, 4.0, 1.0][(group + department * 5) % (DEPARTMENTS / 2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_belong_to_their_category_and_department() {
        let catalog = Catalog::new(40, 3);
        let mut random = Random::new(1);
        for _ in 0..1_000 {
            let category = catalog.category(&mut random);
            let index = catalog.product_for(category, 1, [0, 1], &mut random);
            let product = catalog.product(index);
            assert_eq!(product.category, category);
            assert_eq!(usize::from(product.brand) / BRANDS_PER_DEPARTMENT, department(category));
            assert_eq!(department(Catalog::relative(category, &mut random)), department(category));
            assert!(product.price > 0.0);
        }
    }

    #[test]
    fn choices_follow_their_weights() {
        let mut random = Random::new(2);
        assert_eq!(choose(&[], &mut random), None);
        assert_eq!(choose(&[0.0, 0.0], &mut random), None);
        let threes =
            (0..10_000).filter(|_| choose(&[1.0, 0.0, 3.0], &mut random) == Some(2)).count();
        assert!((7_200..7_800).contains(&threes), "{threes}");
    }
}
