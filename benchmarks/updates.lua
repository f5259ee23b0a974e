-- For wrk, with as many threads as connections: each updates a List of its own, conditionally, with the ETag of the
-- response before. The first request of a thread reads the List. Arguments: the paths of the Lists.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

function init(arguments)
  path, etag, others = arguments[number], nil, 0
  fields = {["Content-Type"] = "application/fhir+json", ["Accept"] = "application/fhir+json"}
  body = string.format('{"resourceType":"List","id":"%s","status":"current","mode":"working",' ..
    '"title":"Reasonable adjustments","entry":[{"item":{"display":"a"}},{"item":{"display":"b"}}]}',
    path:match("[^/]+$"))
end

function request()
  if etag == nil then
    return wrk.format("GET", path, fields)
  end
  fields["If-Match"] = etag
  return wrk.format("PUT", path, fields, body)
end

function response(status, headers, _)
  etag = headers["ETag"] or headers["etag"] or headers["Etag"]
  if status ~= 200 then
    others = others + 1
    etag, fields["If-Match"] = nil, nil
  end
end

function done(summary, latency, _)
  local refused = 0
  for _, thread in ipairs(threads) do
    refused = refused + thread:get("others")
  end
  local errors = summary.errors
  io.write(string.format('{"a_second":%f,"p99":%f,"others":%d}\n', summary.requests / summary.duration * 1e6,
    latency:percentile(99) / 1000, refused + errors.connect + errors.read + errors.write + errors.timeout))
end
