// The steps of `instatune tune` as functions.
export {};
