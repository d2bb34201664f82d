/** Whether what takes long is tested too: in `npm run test:all`. */
export const everything = process.env.FALLLINE_TEST_ALL === '1'
