/**
 * Requests in the order in which they were made.
 */
import type { Pending } from "./Request.ts"

/** First in, first out, without moving elements. */
export class Fifo {
  private items: Array<Pending | undefined> = []
  private head = 0

  get size(): number {
    return this.items.length - this.head
  }

  get first(): Pending | undefined {
    return this.items[this.head]
  }

  push(pending: Pending): void {
    this.items.push(pending)
  }

  shift(): Pending | undefined {
    const pending = this.items[this.head]
    if (pending === undefined) return undefined
    this.items[this.head++] = undefined
    if (this.head === this.items.length) {
      this.items.length = this.head = 0
    } else if (this.head > 16_384) {
      this.items = this.items.slice(this.head)
      this.head = 0
    }
    return pending
  }
}
