/** What is put aside is no array of the plan: its number is below 0, and says which register's values it holds. */
export const toAside = (register: number): number => -1 - register
export const isAside = (array: number): boolean => array < 0
export const asideRegister = (array: number): number => -1 - array
