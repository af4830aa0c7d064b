import { useEffect, useRef } from 'react'

/**
 * Keys of the screens. A name is a character as it is typed, or a key's name in small letters (arrowdown, escape, space),
 * with shift+ before those, mod+ for Ctrl or Cmd, and `g q` for one after the other. The handler last registered is asked first; one that answers
 * false lets the next one have it. Nothing is heard while a person types, or while a dialog or menu is open, but for
 * mod+ keys.
 */
export type Keys = Record<string, (event: KeyboardEvent) => unknown>

const layers: { current: Keys }[] = []
const CHORD_MS = 1500
let prefix: { key: string; at: number } | undefined

/** The name of a key press. */
export function nameOf(event: KeyboardEvent): string {
  const mod = event.ctrlKey || event.metaKey ? 'mod+' : ''
  const shift = event.shiftKey && event.key.length > 1 ? 'shift+' : ''
  const key = event.key === ' ' ? 'space' : event.key
  return `${mod}${shift}${mod || key.length > 1 ? key.toLowerCase() : key}`
}

/** Whether keys belong to what has the focus: a field, an open dialog or menu. */
function taken(event: KeyboardEvent): boolean {
  const target = event.target instanceof Element ? event.target : null
  if (target?.closest('input, textarea, select, [contenteditable="true"], [data-radix-popper-content-wrapper]'))
    return true
  return document.querySelector('[role="dialog"][data-state="open"], [role="alertdialog"][data-state="open"]') !== null
}

/** Whether the focused control does something of its own with this key. */
function natural(event: KeyboardEvent): boolean {
  const target = event.target instanceof Element ? event.target : null
  if (!target) return false
  if ((event.key === 'Enter' || event.key === ' ') && target.closest('button, a, [role="radio"], [role="switch"]'))
    return true
  return event.key.startsWith('Arrow') && target.closest('[role="radiogroup"], [role="slider"]') !== null
}

function onKeyDown(event: KeyboardEvent) {
  if (event.defaultPrevented || event.isComposing || event.altKey) return
  const name = nameOf(event)
  const special = name.startsWith('mod+') || name === 'escape'
  if (special ? name === 'escape' && taken(event) : taken(event) || natural(event)) return
  const before = prefix && event.timeStamp - prefix.at < CHORD_MS ? prefix.key : undefined
  prefix = undefined
  const asked = before ? [`${before} ${name}`] : [name]
  for (const wanted of asked) {
    for (let i = layers.length - 1; i >= 0; i -= 1) {
      const handler = layers[i]!.current[wanted]
      if (handler && handler(event) !== false) {
        event.preventDefault()
        return
      }
    }
  }
  if (!before && layers.some((layer) => Object.keys(layer.current).some((key) => key.startsWith(`${name} `))))
    prefix = { key: name, at: event.timeStamp }
}

/** Listens for keys while the caller is on the screen. */
export function useKeys(keys: Keys) {
  const layer = useRef(keys)
  useEffect(() => {
    layer.current = keys
  })
  useEffect(() => {
    if (layers.length === 0) window.addEventListener('keydown', onKeyDown)
    layers.push(layer)
    return () => {
      layers.splice(layers.indexOf(layer), 1)
      if (layers.length === 0) window.removeEventListener('keydown', onKeyDown)
    }
  }, [])
}

/** Does what a key of the screen does, for the palette. */
export function pressKey(key: string) {
  document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }))
}
