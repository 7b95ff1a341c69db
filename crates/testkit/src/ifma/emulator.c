/* Emulates AVX-512 IFMA on a processor that has AVX-512 without it.
 *
 * Preloaded into a process, this answers CPUID with the bit of IFMA set (the kernel lets CPUID fault)
 * and takes the fault of each VPMADD52LUQ and VPMADD52HUQ. The first fault at a place rewrites the
 * instruction as a jump to code that computes the same in general registers, so that a loop faults once
 * and then costs some tens of nanoseconds an instruction: slow, but fast enough to run every test of
 * the path. Only what compilers emit for the kernels is known: 512 bits, no masks. Anything else ends
 * the process and says so. (Intel SDM volume 2, "VPMADD52LUQ", "VPMADD52HUQ", and 2.7 for EVEX.)
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define MASK ((UINT64_C(1) << 52) - 1)
#define SCALAR __attribute__((target("general-regs-only"), noinline))

/* The whole meaning of the two instructions; `step` is 0 where one number serves all lanes. */
#define INSTRUCTION(name, half, step)                                              \
    SCALAR static void name(uint64_t *sum, const uint64_t *a, const uint64_t *b) { \
        for (int lane = 0; lane < 8; lane++) {                                     \
            unsigned __int128 product =                                            \
                (unsigned __int128)(a[lane] & MASK) * (b[lane * step] & MASK);     \
            sum[lane] += (uint64_t)(product >> (52 * half)) & MASK;                \
        }                                                                          \
    }
INSTRUCTION(low, 0, 1)
INSTRUCTION(high, 1, 1)
INSTRUCTION(low_of_one, 0, 0)
INSTRUCTION(high_of_one, 1, 0)

/* One place is rewritten at a time. */
static atomic_flag busy = ATOMIC_FLAG_INIT;
static unsigned places;

static void give_up(const char *why) {
    char line[160];
    int length = snprintf(line, sizeof line, "ifma emulator: %s\n", why);
    (void)!write(2, line, length);
    abort();
}

/* An instruction, taken apart. */
struct instruction {
    const uint8_t *at;
    int length, high, broadcast;
    int sum, a, b;       /* registers; b is -1 where it is memory */
    uint8_t modrm, sib;  /* of the memory operand, */
    int has_sib;
    int32_t displacement; /* scaled, */
    int index_high, base_high;
};

static int decode(const uint8_t *at, struct instruction *it) {
    memset(it, 0, sizeof *it);
    if (at[0] != 0x62 || (at[1] & 0x0f) != 0x02 || (at[2] & 0x87) != 0x85) return 0;
    if (at[4] != 0xb4 && at[4] != 0xb5) return 0;
    if ((at[3] & 0x60) != 0x40 || (at[3] & 0x87)) give_up("a mask, or a vector that is not 512 bits");
    int r = !(at[1] & 0x80), x = !(at[1] & 0x40), b = !(at[1] & 0x20), r2 = !(at[1] & 0x10);
    it->at = at;
    it->high = at[4] == 0xb5;
    it->broadcast = !!(at[3] & 0x10);
    it->modrm = at[5];
    it->sum = r2 << 4 | r << 3 | (it->modrm >> 3 & 7);
    it->a = !(at[3] & 0x08) << 4 | (~at[2] >> 3 & 15);
    it->length = 6;
    int mod = it->modrm >> 6, rm = it->modrm & 7;
    if (mod == 3) {
        it->b = x << 4 | b << 3 | rm;
        return 1;
    }
    it->b = -1;
    it->index_high = x;
    it->base_high = b;
    if (rm == 4) {
        it->has_sib = 1;
        it->sib = at[it->length++];
    }
    if (mod == 1) {
        it->displacement = (int8_t)at[it->length++] * (it->broadcast ? 8 : 64);
    } else if (mod == 2 || rm == 5 || (it->has_sib && (it->sib & 7) == 5)) {
        memcpy(&it->displacement, at + it->length, 4);
        it->length += 4;
    }
    return 1;
}

/* Below the red zone: room for three vectors, then what the call may change. */
enum { ROOM = 0x400, PUSHED = 11 * 8, SUM = 0x80, A = 0xc0, B = 0x100 };

static uint8_t *put(uint8_t *to, const void *bytes, size_t length) {
    memcpy(to, bytes, length);
    return to + length;
}
#define PUT(to, ...) put(to, (uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

static uint8_t *put_u32(uint8_t *to, uint32_t value) { return put(to, &value, 4); }
static uint8_t *put_u64(uint8_t *to, uint64_t value) { return put(to, &value, 8); }

/* vmovdqu64 between a vector register and [rsp + offset]. */
static uint8_t *put_move(uint8_t *to, int store, int zmm, int offset) {
    uint8_t first = 0x61 | !(zmm & 8) << 7 | !(zmm & 16) << 4;
    to = PUT(to, 0x62, first, 0xfe, 0x48, store ? 0x7f : 0x6f, 0x84 | (zmm & 7) << 3, 0x24);
    return put_u32(to, offset);
}

/* rdx = the address of the memory operand, rsp as it was. */
static uint8_t *put_address(uint8_t *to, const struct instruction *it) {
    int mod = it->modrm >> 6, rm = it->modrm & 7;
    if (mod == 0 && rm == 5) {
        to = PUT(to, 0x48, 0xba);
        return put_u64(to, (uint64_t)(it->at + it->length) + (int64_t)it->displacement);
    }
    int no_base = mod == 0 && it->has_sib && (it->sib & 7) == 5;
    int from_rsp = it->has_sib && (it->sib & 7) == 4 && !it->base_high;
    to = PUT(to, 0x48 | it->index_high << 1 | it->base_high, 0x8d, (no_base ? 0x10 : 0x90) | rm);
    if (it->has_sib) to = PUT(to, it->sib);
    return put_u32(to, it->displacement + (from_rsp ? ROOM + PUSHED : 0));
}

static uint8_t *put_code(uint8_t *to, const struct instruction *it) {
    void (*meaning)(uint64_t *, const uint64_t *, const uint64_t *) =
        it->broadcast ? (it->high ? high_of_one : low_of_one) : (it->high ? high : low);
    to = put_u32(PUT(to, 0x48, 0x8d, 0xa4, 0x24), -ROOM);                      /* lea rsp, */
    to = PUT(to, 0x9c, 0x50, 0x51, 0x52, 0x56, 0x57, 0x53);                    /* pushes */
    to = PUT(to, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53);
    to = put_move(to, 1, it->sum, SUM);
    to = put_move(to, 1, it->a, A);
    if (it->b < 0) {
        to = put_address(to, it);
    } else {
        to = put_move(to, 1, it->b, B);
        to = put_u32(PUT(to, 0x48, 0x8d, 0x94, 0x24), B);                      /* lea rdx, */
    }
    to = put_u32(PUT(to, 0x48, 0x8d, 0xbc, 0x24), SUM);                        /* lea rdi, */
    to = put_u32(PUT(to, 0x48, 0x8d, 0xb4, 0x24), A);                          /* lea rsi, */
    to = PUT(to, 0x48, 0x89, 0xe3, 0x48, 0x83, 0xe4, 0xf0);                    /* rbx = rsp, aligned */
    to = put_u64(PUT(to, 0x48, 0xb8), (uint64_t)meaning);                      /* mov rax, */
    to = PUT(to, 0xff, 0xd0, 0x48, 0x89, 0xdc);                                /* call, rsp = rbx */
    to = put_move(to, 0, it->sum, SUM);
    to = PUT(to, 0x41, 0x5b, 0x41, 0x5a, 0x41, 0x59, 0x41, 0x58);              /* pops */
    to = PUT(to, 0x5b, 0x5f, 0x5e, 0x5a, 0x59, 0x58, 0x9d);
    to = put_u32(PUT(to, 0x48, 0x8d, 0xa4, 0x24), ROOM);                       /* lea rsp, */
    to = PUT(to, 0xff, 0x25, 0, 0, 0, 0);                                      /* jmp back */
    return put_u64(to, (uint64_t)(it->at + it->length));
}

/* Where the next code goes. */
static uint8_t *next, *end;

/* Sees to room for code within a jump's reach of `near`. */
static void make_room(const uint8_t *near) {
    enum { BLOCK = 1 << 20, ENOUGH = 512 };
    if (next && end - next >= ENOUGH && labs(next - near) < 1 << 30) return;
    next = NULL;
    for (uintptr_t step = 1; step < 64 && !next; step++) {
        for (int side = -1; side <= 1 && !next; side += 2) {
            uintptr_t block = (uintptr_t)near & ~(uintptr_t)(BLOCK - 1);
            void *wanted = (void *)(block + (intptr_t)step * side * (16 << 20));
            void *got = mmap(wanted, BLOCK, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            if (got != MAP_FAILED) next = got;
        }
    }
    if (!next) give_up("no room for code");
    end = next + BLOCK;
}

static void everywhere(void) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0))
        give_up("the other processors cannot be told of new code");
}

/* While the place changes, its first byte is a trap that sends whoever meets it back to try again. */
static void rewrite(const struct instruction *it) {
    make_room(it->at);
    uint8_t *code = next;
    next = put_code(code, it);
    uintptr_t page = (uintptr_t)it->at & ~(uintptr_t)4095;
    uint8_t *place = (uint8_t *)it->at;
    if (mprotect((void *)page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC)) give_up("code stays as it is");
    int32_t distance = code - (it->at + 5);
    *(volatile uint8_t *)place = 0xcc;
    everywhere();
    memcpy(place + 1, &distance, 4);
    everywhere();
    *(volatile uint8_t *)place = 0xe9;
    everywhere();
    places++;
}

static void on_unknown(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    while (atomic_flag_test_and_set(&busy)) {}
    uint8_t *at = (uint8_t *)registers[REG_RIP];
    struct instruction it;
    if (at[0] == 0xe9 || at[0] == 0xcc) {
        /* Another thread was here first. */
    } else if (decode(at, &it)) {
        rewrite(&it);
    } else {
        give_up("an instruction that it does not know");
    }
    atomic_flag_clear(&busy);
    (void)signal, (void)info;
}

static void on_trap(int signal, siginfo_t *info, void *context) {
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP]--;
    (void)signal, (void)info;
}

static void on_fault(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *at = (const uint8_t *)registers[REG_RIP];
    if (info->si_code != SI_KERNEL || at[0] != 0x0f || at[1] != 0xa2) {
        struct sigaction plain = {.sa_handler = SIG_DFL};
        sigaction(signal, &plain, NULL);
        return;
    }
    uint32_t leaf = registers[REG_RAX], sub = registers[REG_RCX], a = leaf, b, c = sub, d;
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    if (leaf == 7 && sub == 0) b |= 1u << 21;
    registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

static void on(int signal, void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (sigaction(signal, &action, NULL)) give_up("a signal is not to be had");
}

/* A status of its own, for a machine that does not allow this is no failure of what is tested. */
static void not_here(const char *why) {
    fprintf(stderr, "ifma emulator: %s\n", why);
    _exit(77);
}

__attribute__((constructor)) static void start(void) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0))
        not_here("no membarrier");
    on(SIGILL, on_unknown);
    on(SIGTRAP, on_trap);
    on(SIGSEGV, on_fault);
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0)) not_here("CPUID cannot be made to fault");
}

__attribute__((destructor)) static void tell(void) {
    fprintf(stderr, "ifma emulator: %u places\n", places);
}
