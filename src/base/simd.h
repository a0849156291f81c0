/* base/simd.h: loops over many bytes, compiled once more for wider registers. */
#ifndef BASE_SIMD_H
#define BASE_SIMD_H

/* Before a function: the compiler makes a second one for AVX2, and the loader of the program takes
 * what the processor can do. Results are the same (AVX2 alone brings no fused multiply-add). Not
 * under sanitizers: the choice is made before their run time stands. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GLIBC__) &&                         \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_attribute)
#if __has_attribute(target_clones) && !(defined(__clang__) && __clang_major__ < 16)
#define TDM__WIDE __attribute__((target_clones("avx2", "default")))
#endif
#endif
#endif
#ifndef TDM__WIDE
#define TDM__WIDE
#endif

#endif
