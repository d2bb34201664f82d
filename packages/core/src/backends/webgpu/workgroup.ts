/** Invocations of a workgroup: what every device has. */
export const lanes = 256

/** Columns that a workgroup reduces side by side. */
export const columnsTogether = 32
