/* Seeds of the hashes of layouts, one a family: raise a number when packed weights change their meaning and not their
 * bytes, so that those in packages made before are packed anew. (A change of bytes shows in the hash by itself.) */
#ifndef ERT_KERNELS_LAYOUTS_H
#define ERT_KERNELS_LAYOUTS_H

enum { ERT_LAYOUT_QGEMM = 0x10001, ERT_LAYOUT_QDW = 0x20001, ERT_LAYOUT_FGEMM = 0x30001, ERT_LAYOUT_FDW = 0x40001 };

#endif
