import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { expect, test } from './fixture.ts'

// In a world of its own: the disk is put under recordings that no earlier session is still writing to.
test.use({ worldOptions: {} })

/** Fills the disk under the recordings for real: a tmpfs of one megabyte, which only root may mount. */
test('on a full disk commands are refused, not run unrecorded', async ({ world, agent }) => {
  const recordings = join(world.folder, 'data', 'recordings')
  mkdirSync(recordings, { recursive: true, mode: 0o700 }) // where no session has been yet
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'tmpfs', recordings], {
    encoding: 'utf8',
  })
  test.skip(mounted.status !== 0, `a small file system can't be mounted here (${mounted.stderr?.trim()}): needs root`)
  try {
    const client = await agent('bot', { groups: ['shop-agents', 'maintenance-agents'] })
    const before = (await world.database.query('SELECT count(*) FROM orders', 'orders'))[0]!.count
    let ran = 0
    let refused: pg.DatabaseError | undefined
    while (!refused && ran < 5_000) {
      const sql = `INSERT INTO orders (customer_id, product_id, quantity, status, placed_at) VALUES (1, 1, 1, 'disk-${ran}', now()) /* ${'x'.repeat(2000)} */`
      await client.query(sql).then(
        () => ran++,
        (error) => {
          refused = error
        },
      )
    }
    expect(refused?.code).toMatch(/^(58030|53100|57P01)$/)
    expect(refused?.message).toMatch(/record/i)
    const after = (await world.database.query('SELECT count(*) FROM orders', 'orders'))[0]!.count
    expect(Number(after) - Number(before), 'what ran is what was not refused').toBe(ran)
  } finally {
    spawnSync('umount', ['-l', recordings])
  }
})
