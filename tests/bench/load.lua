-- Load for wrk: the tenants' keys in turn, each event with an idempotency key of its own.
-- Arguments: a file (first line: an event with @KEY@ where its key belongs; then an API key a line), events a request, a word
-- that makes this run's keys its own.

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
  thread:set("thread_number", #threads)
end

function init(args)
  local lines = {}
  for line in io.lines(args[1]) do lines[#lines + 1] = line end
  before, after = lines[1]:match("^(.*)@KEY@(.*)$")
  size, word = tonumber(args[2]), args[3]
  sent, made, rejected = 0, 0, 0
  -- Only for batches, which are answered with 202 whatever became of their items: it costs wrk the reading of each answer.
  if size > 1 then response = check end
  local bytes = #event() * size + (size > 1 and size + 1 or 0)
  heads = {}
  for number = 2, #lines do
    heads[number - 1] = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. "\r\nContent-Type: application/json\r\n"
      .. "x-api-key: " .. lines[number] .. "\r\nContent-Length: " .. bytes .. "\r\n\r\n"
  end
end

-- The key has a fixed width, so that all requests are of one length.
function event()
  made = made + 1
  return before .. string.format("%s-%02d-%010d", word, thread_number, made) .. after
end

function request()
  sent = sent + 1
  local head = heads[sent % #heads + 1]
  if size == 1 then return head .. event() end
  local events = {}
  for number = 1, size do events[number] = event() end
  return head .. "[" .. table.concat(events, ",") .. "]"
end

function check(status, headers, body)
  if status == 202 and not body:find('"duplicates":0,"rejected":0,', 1, true) then rejected = rejected + 1 end
  if status ~= 202 or rejected == 1 then sample = status .. " " .. (body:match('"status":"[dr][ue].*') or body):sub(1, 300) end
end

function done(summary, latency)
  local errors, refused = summary.errors, summary.errors.status
  for _, thread in ipairs(threads) do
    refused = refused + thread:get("rejected")
    if thread:get("sample") then io.write("answered: " .. thread:get("sample") .. "\n") end
  end
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    refused, errors.connect + errors.read + errors.write + errors.timeout))
end
