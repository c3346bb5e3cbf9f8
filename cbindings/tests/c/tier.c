/* Prints what comes of the environment variable ELMAN_TIER: the status of elman_create, the tier, the message. */
#include "check.h"

int main(void) {
    elman_network *network = NULL;
    const elman_status status = elman_create(1, &network);
    CHECK((status == ELMAN_OK) == (network != NULL));
    printf("%d '%s' %s\n", (int)status, elman_tier(), elman_last_error());
    elman_destroy(network);
    return 0;
}
