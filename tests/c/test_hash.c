/* The hash of the file format: fixed values, which every processor must find, and every flipped bit shows. */
#include "check.h"

#include "base/hash.h"

enum { BYTES = 300 };

static const struct {
  size_t bytes;
  uint64_t hash;
} EXPECTED[] = {
    {0, UINT64_C(0xd754decc2c3a4fbd)},   {1, UINT64_C(0x4fbe1b035d16f6f9)},   {8, UINT64_C(0x7ac1dae85777e482)},
    {63, UINT64_C(0x967182a1c0aa801e)},  {64, UINT64_C(0x9768861747aa97d9)},  {65, UINT64_C(0x24723ecbc7da7119)},
    {200, UINT64_C(0x87fcf19d503c3818)}, {300, UINT64_C(0x38ce029e5ee1f6a6)},
};

int main(void) {
  int cases = 0;
  uint8_t unaligned[BYTES + 1], *data = unaligned + 1;
  for (int i = 0; i < BYTES; i++) data[i] = (uint8_t)(i * 131 + 7);
  for (size_t i = 0; i < sizeof EXPECTED / sizeof *EXPECTED; i++, cases++) {
    const uint64_t hash = ert_hash(0, data, EXPECTED[i].bytes);
    if (hash != EXPECTED[i].hash) check_fail("%zu bytes: %016llx", EXPECTED[i].bytes, (unsigned long long)hash);
  }
  if (ert_hash(5, data, 100) != UINT64_C(0x65b7919a02cd6bf7)) check_fail("seed 5");
  const uint64_t whole = ert_hash(0, data, BYTES);
  for (int bit = 0; bit < 8 * BYTES; bit++, cases++) {
    data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    if (ert_hash(0, data, BYTES) == whole) check_fail("bit %d does not show", bit);
    data[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  uint8_t zeros[BYTES] = {0};
  for (size_t n = 1; n <= BYTES; n++, cases++)
    if (ert_hash(0, zeros, n) == ert_hash(0, zeros, n - 1)) check_fail("%zu zeros are as good as one less", n);
  printf("test_hash: %d cases passed\n", cases);
  return 0;
}
