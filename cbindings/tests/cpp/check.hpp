// Checks of the C++ tests: the first one that fails ends the program.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <elman.hpp>

#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: %s\nlast error: %s\n", __FILE__, __LINE__, #condition, elman_last_error());   \
            std::exit(1);                                                                                              \
        }                                                                                                              \
    } while (0)

#endif
