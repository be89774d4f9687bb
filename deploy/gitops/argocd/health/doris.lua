-- Health of a DorisCluster or DorisInitializer, from its conditions alone: the operator says what is so, this only repeats it.
-- Argo CD runs it with `obj` and takes the table that it returns.
local function answer(status, message)
  return { status = status, message = message or "" }
end

local conditions = {}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    conditions[condition.type] = condition
  end
end

-- A condition about an older spec says nothing about this one.
local function holds(type, status)
  local condition = conditions[type]
  return condition ~= nil and condition.status == status and condition.observedGeneration == obj.metadata.generation
end

if obj.metadata.deletionTimestamp ~= nil then
  return answer("Progressing", "it is being deleted")
end
if holds("Stalled", "True") then
  return answer("Degraded", conditions.Stalled.message)
end
-- Conditions of other controllers, who write them when something is so, not when the spec changes.
for _, type in ipairs({ "FrontendQuorum", "DataHealthy" }) do
  if conditions[type] ~= nil and conditions[type].status == "False" then
    return answer("Degraded", conditions[type].message)
  end
end
if holds("Suspended", "True") then
  return answer("Suspended", conditions.Suspended.message)
end
if holds("Ready", "True") then
  return answer("Healthy", conditions.Ready.message)
end
if holds("Reconciling", "True") then
  return answer("Progressing", conditions.Reconciling.message)
end
return answer("Progressing", "the operator has not taken notice of it yet")
