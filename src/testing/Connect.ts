/** How a suite gets its clients. */
import type * as Layer from "effect/Layer"
import type { OperationError, Options, ZooKeeper } from "../ZooKeeper.ts"

/** What a test asks of its client, beyond the server. */
export type Settings = Partial<Omit<Options, "hosts" | "dial">> & { readonly chroot?: string | undefined }

/** A client of the server under test: another one each time the layer is built. */
export type Connect = (settings?: Settings) => Layer.Layer<ZooKeeper, OperationError>
