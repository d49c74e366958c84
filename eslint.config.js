import neostandard from 'neostandard'

export default [
  ...neostandard({
    ts: true,
    ignores: ['{,gateway/,examples/*/}dist', 'build', 'test/{sdk,contract,packages}/build', '.tap', 'openapi/*.d.ts']
  }),
  // A TypeBox schema and its static type share one name.
  { files: ['**/*.ts'], rules: { '@typescript-eslint/no-redeclare': 'off' } }
]
