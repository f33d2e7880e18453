// `@instatune/supernet/families` is now `@hip/checkpoints/families`; this entry stays for one more version.
export * from '@hip/checkpoints/families';
