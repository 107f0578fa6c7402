/** How the servers of `test/support/ZooKeeperServer.ts` are set up, for the in-memory one. */
import type { Options } from "../../src/memory/Server.ts"
import { digestId } from "../../src/memory/Sha1.ts"
import { superUser } from "../support/ZooKeeperServer.ts"

export const likeTheSharedServer: Options = {
  tickTime: 500,
  minSessionTimeout: 1000,
  maxSessionTimeout: 60_000,
  containerCheckInterval: 1000,
  superDigest: digestId(new TextEncoder().encode(superUser))
}
