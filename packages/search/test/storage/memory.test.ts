import { expect, test } from 'vitest'
import { memoryStorage } from '../../src/index.ts'
import { testStorage } from '../../src/testing/index.ts'

testStorage('memory', () => memoryStorage(), { test, expect })
