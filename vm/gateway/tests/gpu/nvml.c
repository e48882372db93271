/* A stand-in for NVIDIA's management library: as many GPUs as there are PERCENTS, each with the result of its call.
 * Names, shapes and result codes are those of nvml.h. */

#ifndef PERCENTS
#define PERCENTS 0
#endif
#ifndef RESULTS
#define RESULTS 0, 0
#endif
#ifndef INIT
#define INIT 0
#endif

static const unsigned int percents[] = {PERCENTS};
static const unsigned int count = sizeof percents / sizeof *percents;

struct utilization {
  unsigned int gpu, memory;
};

int nvmlInit_v2(void) { return INIT; }

int nvmlShutdown(void) { return 0; }

int nvmlDeviceGetCount_v2(unsigned int *found) {
#ifdef NO_GPU
  *found = 0;
#else
  *found = count;
#endif
  return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, const void **device) {
  if (index >= count) return 2;
  *device = &percents[index];
  return 0;
}

#ifndef WITHOUT_UTILIZATION
int nvmlDeviceGetUtilizationRates(const void *device, struct utilization *rates) {
  static const int results[] = {RESULTS};
  const unsigned int *percent = device;
  rates->gpu = *percent;
  /* Memory's share is something else, and must not be taken for it. */
  rates->memory = 99;
  return results[percent - percents];
}
#endif
