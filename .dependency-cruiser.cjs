/** Who may know whom: docs/architecture.md, kept true by `npm run walls`. */
const test = '\\.test\\.tsx?$|/testing/'
const rule = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to })
const protocols = 'gateway/src/(postgres|ssh|http)/'

module.exports = {
  forbidden: [
    rule(
      'no-circles',
      'a circle has no ground to stand on',
      {},
      { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    ),
    rule(
      'contract-knows-nobody',
      'contract is what others meet in',
      { path: '^contract/' },
      { path: '^(gateway|src|demo|e2e|bench)/' },
    ),
    rule(
      'contract-is-pure',
      'no I/O outside contract/node',
      { path: '^contract/src/', pathNot: [test, '^contract/src/node/'] },
      { dependencyTypes: ['core'] },
    ),
    rule(
      'gateway-knows-no-console',
      'they meet only in contract and over HTTP',
      { path: '^gateway/', pathNot: test },
      { path: '^(src|demo|e2e|bench)/' },
    ),
    rule(
      'console-knows-no-gateway',
      'they meet only in contract and over HTTP',
      { path: '^src/', pathNot: test },
      { path: '^(gateway|demo|e2e|bench)/' },
    ),
    rule(
      'protocols-know-little',
      'protocols speak to gate, sessions and masking',
      { path: protocols, pathNot: test },
      { path: '^gateway/src/(api|approvals|reviews|grants|policy|store)/' },
    ),
    rule(
      'protocols-apart',
      'never each other',
      { path: '^gateway/src/(postgres|ssh|http)/', pathNot: test },
      { path: '^gateway/src/(postgres|ssh|http)/', pathNot: '^gateway/src/$1/' },
    ),
    rule(
      'rooms-below-api',
      'api and reviews sit on top',
      {
        path: '^gateway/src/(gate|policy|approvals|grants|sessions|masking|identity|config|store|telemetry|postgres|ssh|http)/',
        pathNot: test,
      },
      { path: '^gateway/src/(api|reviews)/' },
    ),
    rule(
      'gate-below-protocols',
      'the gate knows no protocol',
      {
        path: '^gateway/src/(gate|policy|approvals|grants|sessions|masking|identity|config|store|telemetry)/',
        pathNot: test,
      },
      { path: protocols },
    ),
    rule(
      'store-is-ground',
      'the store knows no room above it',
      { path: '^gateway/src/store/', pathNot: test },
      { path: '^gateway/src/', pathNot: '^gateway/src/(store|telemetry)/' },
    ),
    rule(
      'core-runs-anywhere',
      'core takes ports; it imports no shell',
      { path: '^src/main/core/', pathNot: test },
      { path: ['^src/main/(electron|browser)/', '^src/(renderer|preload)/', 'node_modules/electron/', '^electron$'] },
    ),
    rule(
      'electron-in-its-shell',
      'only the desktop shell and the preload import electron',
      { pathNot: ['^src/main/electron/', '^src/preload/', '^e2e/', test] },
      { path: ['node_modules/electron/', '^electron$'] },
    ),
    rule(
      'renderer-knows-no-transport',
      'it asks through ConsoleApi',
      { path: '^src/renderer/', pathNot: test },
      { path: ['^src/main/', '^src/preload/'] },
    ),
    rule(
      'renderer-has-no-node',
      'it runs in a sandbox',
      { path: '^src/renderer/', pathNot: test },
      { dependencyTypes: ['core'] },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(out|dist|node_modules/\\.)' },
    parser: 'swc',
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.tsx', '.js', '.cjs', '.json'],
    },
  },
}
