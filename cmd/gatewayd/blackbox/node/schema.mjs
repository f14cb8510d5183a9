// Ajv, which shares no code with gatewayd's own checks, holds each message
// against its JSON Schema.
import fs from 'node:fs'
import Ajv2020 from 'ajv/dist/2020.js'

const folder = new URL('../../../../dataapi/schema/', import.meta.url)
const ajv = new Ajv2020({ strict: false }) // its strictness is a matter of style
for (const name of fs.readdirSync(folder)) {
  if (name.endsWith('.json')) ajv.addSchema(JSON.parse(fs.readFileSync(new URL(name, folder))))
}

// checkMessage throws where a message is not what its schema says.
export function checkMessage (message) {
  const validate = ajv.getSchema(`${message.type}.json`)
  if (!validate) throw new Error(`a message of type ${message.type} has no schema`)
  if (!validate(message)) throw new Error(`${ajv.errorsText(validate.errors)}\n${JSON.stringify(message)}`)
  return message
}
