/*
 * Stands in for io_uring in the fuzzer: does everything at once and in one thread, so that an input always does the
 * same, and refuses what would take much of the host.
 */
#pragma once

/* A hostile image's tables may lead far out; files never become longer than this (EFBIG). */
#define FUZZ_FILE_MAX (16ull << 20)

/* What is said about the input does not matter. */
void fuzz_be_quiet(void);
