/**
 * What is wrong with some of the connections, at present. Plain state: the
 * network looks at it whenever something is to pass.
 */
import type { Reply, Request } from "./Network.ts"

export type Direction = "toServer" | "toClient"

/** What becomes of a frame; without one it passes. */
export type ReplyAction =
  | { readonly _tag: "Drop" }
  /** Passes another frame (without its length) instead. */
  | { readonly _tag: "Replace"; readonly bytes: Uint8Array }
  /** Passes these bytes instead, without adding a length. */
  | { readonly _tag: "Raw"; readonly bytes: Uint8Array }
  /** Cuts the connection on both sides, without passing the frame. */
  | { readonly _tag: "Cut" }
  | { readonly _tag: "ForwardThenCut" }
  /** Holds the frame, and everything behind it, until `release`. */
  | { readonly _tag: "Hold" }

export type RequestAction =
  | ReplyAction
  /** Does not pass the frame but answers it with another one, in its turn, and closes the connection then if `close` is set. */
  | { readonly _tag: "Answer"; readonly bytes: Uint8Array; readonly close?: boolean | undefined }

export type RequestHook = (request: Request, frame: Uint8Array) => RequestAction | undefined

export type ReplyHook = (reply: Reply, frame: Uint8Array) => ReplyAction | undefined

/** Whoever dials. */
export interface Client {
  /** The newest session that it was given; 0 before. */
  sessionId: bigint
}

/** What faults can be confined to. */
export interface Place {
  readonly client: Client
  readonly listener: string
  readonly sessionId: bigint
}

export class Faults {
  readonly concerns: (place: Place) => boolean
  /** Called after every change. */
  private readonly changed: () => void
  refused = false
  muted = false
  readonly frozen = { toServer: false, toClient: false }
  /** In ms. */
  delay = 0
  split = false
  /** How many bytes may still pass. */
  readonly budget = { toServer: Infinity, toClient: Infinity }
  readonly requestHooks: Array<RequestHook> = []
  readonly replyHooks: Array<ReplyHook> = []

  constructor(concerns: (place: Place) => boolean, changed: () => void) {
    this.concerns = concerns
    this.changed = changed
  }

  get isAny(): boolean {
    return this.refused || this.muted || this.frozen.toServer || this.frozen.toClient || this.delay > 0 || this.split
      || this.budget.toServer < Infinity || this.budget.toClient < Infinity
      || this.requestHooks.length > 0 || this.replyHooks.length > 0
  }

  /** Makes a change, and tells the network. */
  change(f: (faults: this) => void): void {
    f(this)
    this.changed()
  }

  /** Returns how to remove the hook again. */
  onRequest(hook: RequestHook): () => void {
    return this.added(this.requestHooks, hook)
  }

  /** Returns how to remove the hook again. */
  onReply(hook: ReplyHook): () => void {
    return this.added(this.replyHooks, hook)
  }

  /** Everything passes again; what is lost stays lost. */
  heal(): void {
    this.change(() => {
      this.refused = this.muted = this.split = this.frozen.toServer = this.frozen.toClient = false
      this.delay = 0
      this.budget.toServer = this.budget.toClient = Infinity
      this.requestHooks.length = this.replyHooks.length = 0
    })
  }

  private added<Hook>(hooks: Array<Hook>, hook: Hook): () => void {
    this.change(() => hooks.push(hook))
    return () =>
      this.change(() => {
        const index = hooks.indexOf(hook)
        if (index >= 0) hooks.splice(index, 1)
      })
  }
}
