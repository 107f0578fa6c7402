import { multiLock } from "./multiLock.ts"
import { onEveryServer } from "./servers.ts"

onEveryServer(multiLock)
