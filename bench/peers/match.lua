-- The legal match of POST /v1/verify as a team would write it for nginx: parse, fetch, compare, answer.
-- How a person is stored (bench/peers_people.c): nine fields, | between them:
--   life | name, folded | birth | sex | phones, 9 digits each, with , around | card issued |
--   card expires | CMND | province code
-- Whatever is not held is empty. Names are folded as `fold` does below.
local cjson = require "cjson.safe"
local find, sub, gmatch, match, byte = string.find, string.sub, string.gmatch, string.match, string.byte
local concat = table.concat

local M = {}

-- ---- names ----
-- A letter becomes its base, its shape (^ circumflex, ( breve, + horn, - stroke) and its tone (1 grave,
-- 2 acute, 3 hook, 4 tilde, 5 dot). One tone of a run of vowels goes to its end, so that hòa is hoà.

local shape_of, tone_of, is_vowel = {}, {}, {}
local rows = {
  "a a à á ả ã ạ A À Á Ả Ã Ạ", "a( ă ằ ắ ẳ ẵ ặ Ă Ằ Ắ Ẳ Ẵ Ặ", "a^ â ầ ấ ẩ ẫ ậ Â Ầ Ấ Ẩ Ẫ Ậ",
  "e e è é ẻ ẽ ẹ E È É Ẻ Ẽ Ẹ", "e^ ê ề ế ể ễ ệ Ê Ề Ế Ể Ễ Ệ", "i i ì í ỉ ĩ ị I Ì Í Ỉ Ĩ Ị",
  "o o ò ó ỏ õ ọ O Ò Ó Ỏ Õ Ọ", "o^ ô ồ ố ổ ỗ ộ Ô Ồ Ố Ổ Ỗ Ộ", "o+ ơ ờ ớ ở ỡ ợ Ơ Ờ Ớ Ở Ỡ Ợ",
  "u u ù ú ủ ũ ụ U Ù Ú Ủ Ũ Ụ", "u+ ư ừ ứ ử ữ ự Ư Ừ Ứ Ử Ữ Ự", "y y ỳ ý ỷ ỹ ỵ Y Ỳ Ý Ỷ Ỹ Ỵ",
}
for _, row in ipairs(rows) do
  local shape, tone = nil, 0
  for letter in gmatch(row, "%S+") do
    if not shape then
      shape = letter
      is_vowel[shape] = true
    else
      shape_of[letter], tone_of[letter] = shape, tone % 6
      tone = tone + 1
    end
  end
end
for letter in gmatch("bcdfghjklmnpqrstvwxz", ".") do
  shape_of[letter], shape_of[letter:upper()] = letter, letter
end
for _, letter in ipairs { "đ", "Đ", "ð", "Ð" } do shape_of[letter] = "d-" end
for code = 65, 90 do -- full-width letters
  local lower = string.char(code + 32)
  shape_of["\239\188" .. string.char(code + 96)] = lower
  shape_of["\239\189" .. string.char(code + 64)] = lower
end
shape_of["'"], shape_of["-"], shape_of["."] = "'", "-", "."
shape_of["\226\128\153"] = "'" -- U+2019
for _, space in ipairs { " ", "\194\160", "\226\128\175", "\227\128\128" } do shape_of[space] = " " end
local combining_tone = { ["\204\128"] = 1, ["\204\129"] = 2, ["\204\137"] = 3, ["\204\131"] = 4, ["\204\163"] = 5 }
local combining_shape = {
  ["\204\130"] = { a = "a^", e = "e^", o = "o^" }, ["\204\134"] = { a = "a(" },
  ["\204\155"] = { o = "o+", u = "u+" },
}
local y_or_i = { h = true, k = true, l = true, m = true, s = true, t = true }

-- The last letter of a word that may be y or i is i.
local function settle_y(shapes, tones, first, last)
  if shapes[last] ~= "y" then return end
  local onset, size = shapes[first], last - first + 1
  if (size == 2 and (y_or_i[onset] or (onset == "v" and tones[last] ~= 0)))
    or (size == 3 and onset == "q" and shapes[first + 1] == "u") then
    shapes[last] = "i"
  end
end

local function write_run(out, shapes, tones, first, last)
  local count, tone = 0, 0
  for i = first, last do
    if tones[i] ~= 0 then count, tone = count + 1, tones[i] end
  end
  for i = first, last do
    out[#out + 1] = shapes[i]
    if count > 1 and tones[i] ~= 0 then out[#out + 1] = tones[i] end
  end
  if count == 1 then out[#out + 1] = tone end
end

-- nil: no name.
local function fold(text)
  local shapes, tones, count = {}, {}, 0
  for letter in gmatch(text, "[%z\1-\127\194-\244][\128-\191]*") do
    local shape = shape_of[letter]
    if shape == " " then
      if count > 0 and shapes[count] ~= " " then
        count = count + 1
        shapes[count], tones[count] = " ", 0
      end
    elseif shape then
      count = count + 1
      shapes[count], tones[count] = shape, tone_of[letter] or 0
    elseif combining_tone[letter] and count > 0 and tones[count] == 0 then
      tones[count] = combining_tone[letter]
    elseif combining_shape[letter] and combining_shape[letter][shapes[count]] then
      shapes[count] = combining_shape[letter][shapes[count]]
    else
      return nil
    end
  end
  if count > 0 and shapes[count] == " " then count = count - 1 end
  local out, word, at = {}, 1, 1
  for i = 1, count + 1 do
    local shape = shapes[i]
    if i > count or shape == " " or shape == "-" then
      settle_y(shapes, tones, word, i - 1)
      word = i + 1
    end
  end
  while at <= count do
    local last = at
    while last < count and is_vowel[shapes[at]] and is_vowel[shapes[last + 1]] do last = last + 1 end
    write_run(out, shapes, tones, at, last)
    at = last + 1
  end
  return concat(out)
end
M.fold = fold

-- ---- the claims ----

local names = { "full_name", "date_of_birth", "sex", "phone", "card_issued_on", "card_expires_on", "old_id", "province" }
local known = {}
for _, name in ipairs(names) do known[name] = true end

local function phone_of(text)
  return match(text, "^%+84(%d%d%d%d%d%d%d%d%d)$") or match(text, "^84(%d%d%d%d%d%d%d%d%d)$")
    or match(text, "^0(%d%d%d%d%d%d%d%d%d)$")
end

-- ddmmyyyy, 00 for what is not known
local function qr_date(text)
  local day, month, year = match(text, "^(%d%d)(%d%d)(%d%d%d%d)$")
  if not year then return nil end
  if month == "00" then return year end
  return day == "00" and year .. "-" .. month or year .. "-" .. month .. "-" .. day
end

-- id and claims out of a card's QR
local function read_qr(text)
  local id, old, name, birth, sex, issued = match(text, "^([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|[^|]*|([^|]*)")
  if not id then return nil end
  return id, {
    full_name = name, date_of_birth = qr_date(birth), sex = sex == "Nam" and "male" or "female",
    card_issued_on = qr_date(issued), old_id = old ~= "" and old or nil,
  }
end

-- Which of the claims match the stored person; a table by name.
local function compare(claims, person)
  local _, _, life, name, birth, sex, phones, issued, expires, old, province =
    find(person, "^([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)$")
  if life ~= "alive" then return {} end
  local phone = claims.phone and phone_of(claims.phone)
  return {
    full_name = claims.full_name and fold(claims.full_name) == name,
    date_of_birth = claims.date_of_birth == birth,
    sex = claims.sex == sex,
    phone = phone and find(phones, "," .. phone .. ",", 1, true) ~= nil,
    card_issued_on = issued ~= "" and claims.card_issued_on == issued,
    card_expires_on = expires ~= "" and claims.card_expires_on == expires,
    old_id = old ~= "" and claims.old_id == old,
    province = claims.province == province,
  }
end

-- ---- the request ----

-- Partners by the subject of their certificate, and what each may ask for which purpose.
local partners = { ["CN=demo"] = { ["demo.verify"] = known } }

local function refuse(status, code)
  local body = '{"type":"about:blank","status":' .. status .. ',"code":"' .. code .. '"}'
  ngx.status = status
  ngx.header["Content-Type"] = "application/problem+json"
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

-- nil, status, code: refused.
local function read_request()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  local request = body and cjson.decode(body)
  if type(request) ~= "table" or type(request.purpose) ~= "string" then return nil, 400, "malformed_json" end
  if request.txn ~= nil and (type(request.txn) ~= "string" or #request.txn > 256) then return nil, 400, "bad_txn" end
  local partner = partners[ngx.var.ssl_client_s_dn]
  local allowed = partner and partner[request.purpose]
  if not allowed then return nil, 403, "purpose_not_permitted" end
  local id, claims = request.id, request.claims
  if type(request.qr) == "string" then id, claims = read_qr(request.qr) end
  if type(id) ~= "string" or not (match(id, "^%d+$") and (#id == 12 or #id == 9)) then return nil, 400, "bad_id" end
  if type(claims) ~= "table" or not next(claims) then return nil, 400, "missing_claims" end
  for name, value in pairs(claims) do
    if not allowed[name] then return nil, 403, "claim_not_permitted" end
    if type(value) ~= "string" then return nil, 400, "wrong_type" end
  end
  return { txn = request.txn, id = id, claims = claims }
end

-- fetch(id): the stored person; nil: nobody; nil, text: it failed.
function M.answer(fetch)
  local request, status, code = read_request()
  if not request then return refuse(status, code) end
  local person, failure = fetch(request.id)
  if failure then
    ngx.log(ngx.ERR, "store: ", failure)
    return refuse(503, "not_ready")
  end
  local claims = request.claims
  local results = person and compare(claims, person) or {}
  local parts, verified = {}, true
  for i = 1, #names do
    local name = names[i]
    if claims[name] ~= nil then
      verified = verified and results[name]
      parts[#parts + 1] = '"' .. name .. (results[name] and '":"match"' or '":"mismatch"')
    end
  end
  local body = concat {
    '{', request.txn and '"txn":' .. cjson.encode(request.txn) .. ',' or '', '"answer_id":"',
    sub(ngx.var.request_id, 1, 26), '","answered_at":"', (ngx.utctime():gsub(" ", "T")), '.000Z","verdict":"',
    verified and "verified" or "not_verified", '","claims":{', concat(parts, ","), "}}",
  }
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

return M
