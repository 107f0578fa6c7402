import { readWriteLock } from "./readWriteLock.ts"
import { onEveryServer } from "./servers.ts"

onEveryServer(readWriteLock)
