// What MKL asks before it uses all of AVX-512 (see bench_all.sh).
int mkl_serv_intel_cpu_true(void) { return 1; }
