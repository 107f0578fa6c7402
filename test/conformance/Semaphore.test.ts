import { semaphore } from "./semaphore.ts"
import { onEveryServer } from "./servers.ts"

onEveryServer(semaphore)
