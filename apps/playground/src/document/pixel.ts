// Keys and queries of one pixel of a mask's picture.
export const PIXEL = 64;
