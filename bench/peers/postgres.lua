-- The rows of schema.sql, by two prepared statements. Debian has no PostgreSQL driver for nginx that does
-- not block, so a worker waits for its answer; several workers share the core.
local match = require "match"
local luasql = require "luasql.postgres"

local connection

local function connect()
  local fresh, failure = luasql.postgres():connect("people", "people", nil, "@POSTGRES@", @POSTGRES_PORT@)
  if not fresh then return nil, failure end
  local columns = "concat_ws('|', life, name, birth, sex, phones, issued, expires, old, province)"
  for _, statement in ipairs {
    "PREPARE by_number(bigint) AS SELECT " .. columns .. " FROM people WHERE number = $1",
    "PREPARE by_old(bigint) AS SELECT " .. columns .. " FROM people WHERE number = "
      .. "(SELECT number FROM aliases WHERE old = $1)",
  } do
    local fine, why = fresh:execute(statement)
    if not fine then return nil, why end
  end
  connection = fresh
  return fresh
end

-- id: digits only, as match.lua has checked.
local function query(statement, id)
  local cursor, failure = connection:execute("EXECUTE " .. statement .. "(" .. id .. ")")
  if not cursor then
    connection = nil
    return nil, failure
  end
  local row = cursor:fetch()
  cursor:close()
  return row
end

local function fetch(id)
  if not connection then
    local fine, failure = connect()
    if not fine then return nil, failure end
  end
  if #id == 12 then
    local person, failure = query("by_number", id)
    if person or failure then return person, failure end
  end
  return query("by_old", id)
end

return function() match.answer(fetch) end
