-- One packed string a person (p:number), one an old number (a:old -> number; nothing where it names
-- several). Connections to Redis stay in the worker's pool.
local redis = require "nginx.redis"
local match = require "match"

local function get(client, key)
  local value, failure = client:get(key)
  if failure then return nil, failure end
  return value ~= ngx.null and value or nil
end

local function fetch(id)
  local client = redis:new()
  client:set_timeout(1000)
  local connected, failure = client:connect("unix:@REDIS@")
  if not connected then return nil, failure end
  local person, number
  if #id == 12 then person, failure = get(client, "p:" .. id) end
  if not person and not failure then
    number, failure = get(client, "a:" .. id)
    if number then person, failure = get(client, "p:" .. number) end
  end
  if failure then
    client:close()
    return nil, failure
  end
  client:set_keepalive(60000, 128)
  return person
end

return function() match.answer(fetch) end
