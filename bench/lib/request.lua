-- A request with the headers of the command line. After "--": its method, the bytes of its body, and over how many providers to go round.
function init (args)
  local method, bytes, providers = args[1], tonumber(args[2]), tonumber(args[3])
  wrk.method = method
  if bytes > 0 then
    wrk.headers["content-type"] = "application/json"
    wrk.body = '{"pad":"' .. string.rep("x", bytes - 10) .. '"}'
  end
  if providers > 0 then goRound(providers) end
end

function goRound (providers)
  local requests, turn = {}, 0
  for index = 0, providers - 1 do
    wrk.headers["x-portkey-provider"] = "p" .. index
    requests[index] = wrk.format()
  end
  request = function ()
    turn = (turn + 1) % providers
    return requests[turn]
  end
end

function done (summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
