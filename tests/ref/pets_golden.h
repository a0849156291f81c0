/* Written by make_pets_golden.py. Sums of the samples' CRC-32, modulo 2^32. */
#ifndef REF_PETS_GOLDEN_H
#define REF_PETS_GOLDEN_H

#define PETS_SAMPLES 491
#define PETS_DOGS 179
#define PETS_HEADS 215
#define PETS_IMAGES 0xeb1cd7bdu
#define PETS_MASKS 0x711c2235u
#define PETS_TRIMAPS 0x0b124efbu
#define PETS_BOXES 0x5effb554u
#define PETS_HEAD_SUM 93615.925943

#endif
