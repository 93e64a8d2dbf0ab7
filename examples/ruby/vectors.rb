# Replays lua/vectors on an empty server of one's own (it is flushed): ruby vectors.rb redis://127.0.0.1:6379
require 'json'
require_relative 'resp'
require_relative 'scripts'

def bytes(text) = text.encode('ISO-8859-1').b

def expand(arg, kept)
  return [bytes(arg)] if arg.is_a?(String)
  return [kept[arg['kept']]] if arg['kept']

  prefix, first, last = arg['each']
  (first..last).map { |number| "#{prefix}#{number}" }
end

def fits(expected, reply, kept)
  case expected
  when String then reply.is_a?(String) && bytes(expected) == reply.b
  when nil, Integer then expected == reply
  when Array then reply.is_a?(Array) && reply.size == expected.size && expected.zip(reply).all? { |item, other| fits(item, other, kept) }
  else
    kind, what = expected.first
    case kind
    when 'error' then reply.is_a?(ServerError) && (what.is_a?(String) ? reply.message.b == bytes(what) : reply.message.start_with?(what['starts']))
    when 'number' then reply.is_a?(String) && reply.match?(/\A\d+\z/)
    when 'starts' then reply.is_a?(String) && reply.b.start_with?(bytes(what))
    when 'unordered'
      left = reply.dup
      what.all? { |item| (at = left.index { |other| fits(item, other, kept) }) && left.delete_at(at) } && left.empty?
    when 'keep'
      kept[what] = reply
      reply.is_a?(String)
    end
  end
end

server = Resp.new(ARGV[0], 30)
Scripts::ALL.each_value { |text| server.call('SCRIPT', 'LOAD', text) }
version = server.call('INFO', 'server')[/redis_version:(\S+)/, 1].split('.').map(&:to_i)
state_lua = Scripts.text('vectors/state.lua')
steps = failures = 0
Dir[File.join(Scripts::FOLDER, 'vectors/*.json')].sort.each do |path|
  file = JSON.parse(File.read(path, encoding: 'UTF-8'))
  raise "#{path} is of contract #{file['contract']}" unless file['contract'] == Scripts::CONTRACT

  file['cases'].each do |one|
    next if (one['since'] || '0').split('.').map(&:to_i).<=>(version).positive?

    server.call('FLUSHALL')
    server.call('CONFIG', 'SET', 'maxmemory', '0')
    kept = {}
    state = {}
    one['steps'].each_with_index do |step, number|
      steps += 1
      words = ->(list) { (list || []).flat_map { |arg| expand(arg, kept) } }
      keys = words.(step['keys'])
      reply = step['call'] ? server.call('EVALSHA', Scripts::SHA[step['call']], keys.size, *keys, *words.(step['args'])) : server.call(*words.(step['command']))
      (step['changes'] || {}).each { |key, row| row ? state[bytes(key)] = row : state.delete(bytes(key)) }
      found = server.call('EVAL', state_lua, '0').to_h { |key, *row| [key.b, row] }
      wrong = "answered #{reply.inspect}" if step.key?('reply') && !fits(step['reply'], reply, kept)
      wrong ||= "the server holds #{found}" unless found.keys.sort == state.keys.sort && state.all? { |key, row| fits(row, found[key], kept) }
      next unless wrong

      failures += 1
      puts "#{File.basename(path)}: #{one['name']}: step #{number + 1}: #{wrong[0, 800]}"
      break
    end
  end
end
puts "#{steps} steps, #{failures} failures"
exit(failures.zero? ? 0 : 1)
