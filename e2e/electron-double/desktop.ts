import { EventEmitter } from 'node:events'
import { can, happened } from './control.ts'

interface NotificationOptions {
  title?: string
  body?: string
  actions?: { type: string; text: string }[]
}

/**
 * The desktop keeps notifications by weak references, as Electron does: one that the program no longer holds is shown,
 * but its clicks go nowhere.
 */
const notifications = new Map<number, WeakRef<Notification>>()
let ids = 0

export class Notification extends EventEmitter {
  static isSupported(): boolean {
    return true
  }
  readonly id = ++ids
  readonly options: NotificationOptions
  constructor(options: NotificationOptions = {}) {
    super()
    this.options = options
  }
  show(): void {
    notifications.set(this.id, new WeakRef(this))
    const { title = '', body = '', actions = [] } = this.options
    happened({ what: 'notification', id: this.id, title, body, actions: actions.map(({ text }) => text) })
    this.emit('show', {})
  }
  close(): void {
    if (!notifications.delete(this.id)) return
    happened({ what: 'notification-closed', id: this.id })
    this.emit('close', {})
  }
}

const there = (id: number) => notifications.get(id)?.deref()
can('click-notification', (id: number) => there(id)?.emit('click', {}))
can('press-notification-action', (id: number) => there(id)?.emit('action', { actionIndex: 0 }, 0))
can('notifications', () => [...notifications.keys()])
/** Two turns of the loop and two collections: a weak reference lives at least to the end of the job that read it. */
can('collect-garbage', async () => {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
    ;(globalThis as { gc?: () => void }).gc?.()
  }
})

interface MenuItem {
  label?: string
  role?: string
  click?: () => void
  submenu?: MenuItem[]
}

export class Menu {
  readonly items: MenuItem[]
  constructor(items: MenuItem[] = []) {
    this.items = items
  }
  static buildFromTemplate(template: MenuItem[]): Menu {
    return new Menu(template)
  }
  static setApplicationMenu(menu: Menu | null): void {
    happened({ what: 'menu', roles: (menu?.items ?? []).map(({ role, label }) => role ?? label ?? '') })
  }
}

export class Tray extends EventEmitter {
  constructor(image: { isEmpty(): boolean }) {
    super()
    if (image.isEmpty()) throw new Error('a tray needs an image')
    can('click-tray', () => this.emit('click', {}))
    can('pick-tray', (label: string) => this.#menu?.items.find((item) => item.label === label)?.click?.())
  }
  #menu: Menu | undefined
  setToolTip(toolTip: string): void {
    happened({ what: 'tray', toolTip })
  }
  setContextMenu(menu: Menu): void {
    this.#menu = menu
  }
  setTitle(): void {}
  destroy(): void {}
}

export const nativeImage = {
  createFromDataURL(url: string) {
    const png = Buffer.from(url.slice(url.indexOf(',') + 1), 'base64')
    return { isEmpty: () => png.subarray(1, 4).toString() !== 'PNG', setTemplateImage() {} }
  },
}

export const nativeTheme = Object.assign(new EventEmitter(), { shouldUseDarkColors: false, themeSource: 'system' })
export const powerMonitor = new EventEmitter()
can('resume', () => powerMonitor.emit('resume'))

export const screen = {
  getAllDisplays: () => [{ workArea: { x: 0, y: 0, width: 1920, height: 1080 } }],
}

export const shell = {
  async openExternal(url: string): Promise<void> {
    happened({ what: 'open-external', url })
  },
}
