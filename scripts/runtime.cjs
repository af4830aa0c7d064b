// Loaded first by the start commands (node --require): plain old JavaScript, so that an old Node can still say why not.
var major = Number(process.versions.node.split('.')[0])
if (major < 24) {
  console.error(
    'Countersign runs on Node 24 or newer; this is ' +
      process.version +
      '.\n' +
      'Run it by npm (npm start, npm test, npx countersign-gateway …): "npm ci" has put the right Node into node_modules.',
  )
  process.exit(1)
}
