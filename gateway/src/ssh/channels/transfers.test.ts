import { expect, test } from 'vitest'
import { brokenBy } from './transfers.ts'

test.each([
  ['scp -f /srv/file', 'scp'],
  ['/usr/bin/scp -v -p -t /srv', 'scp'],
  ['rsync --server --sender -e.LsfxCIvu . /srv', 'rsync'],
  ["git-upload-pack '/srv/repo'", 'git-upload-pack'],
  ["git receive-pack '/srv/repo'", 'git receive-pack'],
  ['scp a b:', undefined],
  ['rsync -a /srv /backup', undefined],
  ['git log', undefined],
  ['echo scp -f x', undefined],
  ['cat /srv/file', undefined],
])('%s: masks break %s', (text, program) => {
  const asked = { text, kind: 'exec', effects: [], meaning: {} }
  const words = brokenBy(asked, ['card', 'pem'])
  expect(words?.message).toBe(
    program &&
      `ended: what ${program} sends holds what is masked here (card, pem), and a file can’t be masked on its way`,
  )
})
