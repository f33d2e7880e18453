// Shows one of several GPUs to Vulkan: wraps the loader, env GPU_INDEX, REAL_VULKAN.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
typedef void (*Fn)(void);
typedef Fn (*GetProc)(void*, const char*);
typedef int32_t (*Enumerate)(void*, uint32_t*, void**);
static void* lib; static GetProc real_get; static Enumerate real_enum;
static void open_lib(void) { if (!lib) { lib = dlopen(getenv("REAL_VULKAN"), RTLD_NOW | RTLD_LOCAL); real_get = (GetProc)dlsym(lib, "vkGetInstanceProcAddr"); } }
static int32_t pick(void* instance, uint32_t* count, void** devices) {
  void* all[64]; uint32_t n = 64; int32_t r = real_enum(instance, &n, all); if (r < 0) return r;
  uint32_t i = (uint32_t)atoi(getenv("GPU_INDEX") ? getenv("GPU_INDEX") : "0"); if (i >= n) i = 0;
  if (!devices) { *count = n ? 1 : 0; return 0; }
  if (*count < 1) return 5; devices[0] = all[i]; *count = 1; return 0;
}
Fn vkGetInstanceProcAddr(void* instance, const char* name) {
  open_lib();
  if (!strcmp(name, "vkGetInstanceProcAddr")) return (Fn)vkGetInstanceProcAddr;
  Fn f = real_get(instance, name);
  if (!strcmp(name, "vkEnumeratePhysicalDevices") && f) { real_enum = (Enumerate)f; return (Fn)pick; }
  return f;
}
