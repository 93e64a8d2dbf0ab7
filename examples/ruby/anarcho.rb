# The smallest coordinator: admission, W1-W4 and R1-R4 of lua/README.md, written from that page alone. The caller names the keys of a
# command, and brings it in its deterministic form. One call at a time per node; use one Anarcho for each thread.
require 'digest'
require 'securerandom'
require_relative 'resp'
require_relative 'scripts'

class Anarcho
  class NotApplied < StandardError; end
  class NoQuorum < NotApplied; end
  class Indeterminate < StandardError; end
  class ReplyLost < StandardError; end
  class CannotConnect < StandardError; end
  class Moved < StandardError; end

  GENERATION = 1_000_000
  LIMITS = %w[4096 60000 500].freeze # of a remembered reply, the retry window, the clocks: the same for all coordinators
  HEDGE = 0.05

  # No answer; `sent`: it may have run.
  class Away < StandardError
    attr_reader :sent

    def initialize(why, sent: false)
      super(why)
      @sent = sent
    end
  end

  def self.now_us = Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)
  def self.short(*parts) = Digest::SHA1.hexdigest(parts.join("\n"))[0, 16]
  def self.fence(epoch) = format('%010d-%s', epoch, SecureRandom.hex(8))

  # One node, and its connection, which is admitted before anything is asked over it.
  class Node
    attr_reader :url, :look, :fence, :epoch, :info, :why

    def initialize(url)
      @url = url
      @mutex = Mutex.new
      @why = 'not connected yet'
    end

    def votes? = !@fence.nil? && @look[4] == 'voter'

    def open
      leave(@why)
      @resp = Resp.new(@url)
      Scripts::ALL.values.sort_by(&:size).each { |text| command('SCRIPT', 'LOAD', text) }
      @info = command('INFO').lines.filter_map { |line| line.chomp.split(':', 2) if line.include?(':') }.to_h
      raise Away, 'it is a replica, or in cluster mode' unless @info['role'] == 'master' && @info['cluster_enabled'] != '1'
      raise Away, 'its maxmemory-policy drops keys; set it to noeviction' unless @info.fetch('maxmemory_policy', 'noeviction') == 'noeviction'
      raise Away, 'Redis 6.2 is the oldest that works' if (@info['redis_version'].split('.').map(&:to_i) <=> [6, 2]).negative?

      before = Anarcho.now_us
      @look = admit('look')
      after = Anarcho.now_us
      at = @look[9].to_i
      @offset_ms = at > after ? (at - after) / 1000 : at < before ? -((before - at) / 1000) : 0
      raise Away, "its clock is #{@offset_ms} ms off; run NTP" if @offset_ms.abs > 500
      raise Away, "its cluster keeps contract #{@look[14]}, this program keeps #{Scripts::CONTRACT}" unless ['', Scripts::CONTRACT].include?(@look[14])
    rescue SystemCallError, IOError, SocketError, Away => e
      leave(e.message)
      @look = nil
      raise Away, e.message
    end

    def enter(cluster)
      _, mine, id, epoch, role, run_id, _, fence, keys = @look
      raise Away, keys == '0' ? 'it lost its data: anarcho-heal fills it' : 'it belongs elsewhere' unless mine == cluster

      if role == 'claimed' || (role == 'voter' && run_id != @info['run_id'] && !keeps_every_write?)
        admit('demote', id, Anarcho.fence(epoch), run_id, fence)
      elsif role == 'voter' && run_id != @info['run_id']
        admit('readmit', id, @info['run_id'], Anarcho.fence(epoch), run_id)
      end
      @look = admit('look')
      raise Away, 'its admission changed meanwhile' if @look[7].empty? || @look[1] != cluster || (@look[4] == 'voter' && @look[5] != @info['run_id'])

      @fence = @look[7]
      @epoch = @look[3].to_i
      @why = votes? ? '' : 'it is being filled and does not vote yet'
    end

    def keeps_every_write?
      setting = ->(name) { Array(command('CONFIG', 'GET', name))[1] }
      @info['aof_enabled'] == '1' && setting.('appendfsync') == 'always' && setting.('no-appendfsync-on-rewrite') == 'no'
    end

    def admit(*args) = command('EVALSHA', Scripts::SHA['admit'], 0, *args)

    def call(script, keys, args, epoch, left_s)
      2.times do
        fence = @fence or raise Away, @why
        raise Away, 'its epoch is another one' if epoch && epoch != @epoch

        deadline = (Anarcho.now_us / 1000) + (left_s * 1000).to_i + @offset_ms
        reply = command('EVALSHA', Scripts::SHA[script], keys.size, *keys, fence, deadline, *args)
        leave('its admission changed') if reply[0] == 'FENCED'
        return reply
      rescue Away => e
        raise unless e.message.start_with?('NOSCRIPT')

        Scripts::ALL.each_value { |text| command('SCRIPT', 'LOAD', text) } # nothing ran
      end
      raise Away, 'it forgets the scripts'
    end

    def leave(why)
      @fence = nil
      @why = why
      @resp&.close
      @resp = nil
    end

    def command(*words)
      @mutex.synchronize do
        resp = @resp or raise Away, @why
        begin
          reply = resp.call(*words)
        rescue SystemCallError, IOError => e
          leave(e.message)
          raise Away.new(e.message, sent: true)
        end
        raise Away, reply.message if reply.is_a?(ServerError)

        reply
      end
    end
  end

  def initialize(urls, timeout: 5)
    @nodes = urls.map { |url| Node.new(url) }
    @majority = (urls.size / 2) + 1
    @timeout = timeout
    @id = SecureRandom.hex(8)
    @sequence = @last_us = 0
    refused = @nodes.filter_map { |node| node.open && nil rescue "#{node.url}: #{$!.message}" }
    there = @nodes.select(&:look)
    known = there.reject { |node| ['', 'claimed'].include?(node.look[4]) }
    raise CannotConnect, 'the nodes belong to several clusters' if known.map { |node| node.look[1] }.uniq.size > 1
    raise CannotConnect, "a new cluster needs all nodes: #{refused.join('; ')}" if known.empty? && refused.any?

    @cluster = known.empty? ? form : known.first.look[1]
    there.each { |node| node.enter(@cluster) rescue node.leave($!.message) }
    newest = there.max_by { |node| node.look[3].to_i }.look
    raise CannotConnect, "name each of the members #{newest[6]}" unless newest[6].split(',').size == @nodes.size
    raise CannotConnect, "too few nodes vote: #{failures}" if voters[1].size < @majority

    @scopes = newest[10].split(',', -1)[0..-2].map { |hex| [hex].pack('H*') }
  end

  # The scope that the key starts with, the longest first; else what stands between the first { and the next }; else the key.
  def register_of(key)
    key = key.b
    scope = @scopes.find { |prefix| key.start_with?(prefix) }
    from = key.index('{')
    to = from && key.index('}', from + 1)
    scope || (to && to > from + 1 ? key[from + 1...to] : key)
  end

  # A command that may change the register of its keys.
  def write(keys, *command) = value(commit(register_of(keys[0]), keys, [command], false))

  # A read-only command.
  def read(keys, *command)
    register = register_of(keys[0])
    2.times do
      decided, again = read_round(register, keys, [command])
      return value(decided) if decided
      break unless again
    end
    value(commit(register, keys, [command], true))
  end

  private

  def value(replies)
    raise replies[0] if replies[0].is_a?(ServerError)

    replies[0]
  end

  def form
    taken = @nodes.find { |node| node.look[1].empty? && node.look[8] != '0' }
    raise CannotConnect, "#{taken.url} holds somebody's data" if taken

    by_id = @nodes.to_h { |node| [Anarcho.short('node', node.info['run_id']), node] }.sort.to_h
    cluster = Anarcho.short('cluster', *by_id.keys)
    by_id.each do |id, node|
      reply = node.admit('claim', cluster, id, by_id.keys.join(','), node.info['run_id'], '', '3600000')
      raise CannotConnect, "#{node.url}: #{reply}" unless reply[0] == 'OK'
    end
    by_id.each_value { |node| node.admit('start', cluster, Anarcho.fence(1)) }
    @nodes.each(&:open)
    cluster
  end

  # The newest epoch, and who votes under it. Nodes that are away are tried again meanwhile.
  def voters
    @tries ||= {}
    @nodes.each do |node|
      next if node.fence || @tries[node]&.alive?

      @tries[node] = Thread.new do
        node.open
        node.enter(@cluster)
      rescue Away => e
        node.leave(e.message)
        sleep 0.2
      end
    end
    epoch = @nodes.select(&:votes?).map(&:epoch).max
    [epoch, @nodes.select { |node| node.votes? && node.epoch == epoch }]
  end

  def clock = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def failures = @nodes.reject { |node| node.why.empty? }.map { |node| "#{node.url}: #{node.why}" }.join('; ')

  def ballot = format('%016d-%s', @last_us = [Anarcho.now_us, @last_us + 1].max, @id)

  def observe(ballot) = @last_us = [@last_us, ballot[0, 16].to_i].max

  # Starts a call to each node; gives each answer as it comes until the block says that it is enough, and all that came.
  def ask(nodes, hedge_at, deadline)
    queue = Queue.new
    nodes.each do |node|
      Thread.new do
        queue << [node, yield(node)]
      rescue Away, Moved => e
        queue << [node, [e.is_a?(Away) && e.sent ? 'UNKNOWN' : 'NOTSENT', e.message]]
      end
    end
    answers = {}
    hedge_ends = nil
    until answers.size == nodes.size
      left = [deadline, hedge_ends].compact.min - clock
      break if left <= 0

      node, reply = pop_within(queue, left)
      next unless node

      answers[node] = reply
      own = answers.values.count { |answer| !%w[UNKNOWN NOTSENT].include?(answer[0]) }
      hedge_ends ||= clock + HEDGE if own >= hedge_at
    end
    answers
  end

  # Queue#pop has a time-out only since Ruby 3.2.
  def pop_within(queue, left)
    ends = clock + left
    while queue.empty?
      return nil if clock > ends

      sleep 0.0005
    end
    queue.pop
  end

  def encoded(commands) = [commands.size, *commands.flat_map { |command| [command.size, *command] }]

  def record(register) = "anrcho_version:{#{register}}".b

  # W1-W4. Answers the replies.
  def commit(register, keys, commands, is_read)
    op = format('%s-%016x', @id, @sequence += 1)
    ends = clock + @timeout
    keep = ran = false
    alone = nil
    loop do
      epoch, voting = voters
      alone = voting.size < @majority ? alone || clock : nil
      if voting.size >= @majority
        ballot = self.ballot
        flags = (keep ? 'k' : '') + (is_read ? 'r' : 'w')
        args = [ballot, op, flags, '*', '0', *LIMITS, '0', *encoded(commands)]
        left = ends - clock
        answers = ask(voting, @majority, ends) { |node| node.call('apply', [record(register), *keys], args, epoch, left) }
        found = decide(register, ballot, epoch, voting, answers, keep, is_read, ends)
        raise ReplyLost if found == [nil]
        return found[0] if found

        voting.each do |node|
          reply = answers.fetch(node, ['UNKNOWN'])
          ran ||= !is_read && (reply[0] == 'UNKNOWN' || (reply[0] == 'ACK' && reply[5] != '') || (reply[0] == 'NACK' && reply[1] == ballot))
          observe(reply[1]) if reply[0] == 'NACK'
          observe(format('%016d', (reply[1].to_i + 1) * 1000)) if reply[0] == 'EXPIRING' && reply[1].to_i < (Anarcho.now_us / 1000) + 1000
        end
        keep ||= !is_read || answers.values.any? { |reply| reply[0] == 'ABSENT' }
      end
      if clock > ends || (alone && clock - alone > 1)
        raise Indeterminate, failures if ran

        raise (voting.size < @majority ? NoQuorum : NotApplied), failures
      end
      sleep(rand * 0.02)
    end
  end

  # [replies], or nil for another round.
  def decide(register, ballot, epoch, voting, answers, keep, is_read, ends)
    acks = answers.select { |_, reply| reply[0] == 'ACK' }
    absents = answers.values.select { |reply| reply[0] == 'ABSENT' }
    places = acks.values.map { |ack| ack[3, 2] }.uniq
    return [(acks.values.find { |ack| ack[7] } || acks.values[0])[7]] if acks.size == @nodes.size && places.size == 1 # W1
    return [absents[0][1]] if !keep && absents.size >= (is_read ? @majority : @nodes.size) # R3
    return nil if acks.size < @majority

    source, winner = acks.max_by { |_, ack| [ack[1], ack[3].to_i, ack[4]] } # W2
    place = winner[3, 2]
    dirty = answers.size < @nodes.size ? '1' : '0'
    goal = [register, ballot, *place, source]
    left = ends - clock
    settles = ask(voting, @majority, ends) do |node|
      if acks.key?(node) && acks[node][3, 2] != place then transfer(goal, node, dirty, epoch)
      else node.call('settle', [record(register)], [ballot, *place, 'confirm', '', '', dirty], epoch, left)
      end
    end
    settles.each_value { |reply| observe(reply[1]) if reply[0] == 'NACK' }
    raise Indeterminate, 'a ballot was used twice; stop and look' if settles.values.any? { |reply| reply[0] == 'CONFLICT' }
    return nil if settles.values.count { |reply| reply[0] == 'SETTLED' } < @majority

    voting.each { |node| mend(goal, node) if settles.dig(node, 0) == 'NEEDS_STATE' }
    [winner[7]]
  end

  # The state of a register that fits one call; what does not is left to anarcho-heal.
  def transfer((register, ballot, version, digest, source), target, dirty, epoch)
    known = target.call('digest', [record(register)], ['of'], epoch, 30)[2][0][2]
    head = [ballot, version, digest]
    return target.call('settle', [record(register)], [*head, 'confirm', '', '', dirty], epoch, 30) if known == digest

    snapshot = source.call('snapshot', [record(register)], known.empty? ? ['all', 1_048_576] : ['since', 1_048_576, known], nil, 30)
    raise Moved, snapshot[0] unless snapshot[0] == 'SNAPSHOT' && snapshot[4, 2] == [version, digest]

    ops, multi, mode, log, states = snapshot[6..]
    raise Moved, 'too large for one call' if mode == 'many' || states.any? { |state| %w[large later].include?(state[1]) }

    flat = states.flat_map { |name, form, expiry, elements| [name, form, expiry, elements.size, *elements] }
    target.call('settle', [record(register)], [*head, mode, mode == 'delta' ? known : '', ops, dirty, multi, log.size, *log, states.size, *flat], epoch, 30)
  end

  def mend(goal, node)
    transfer(goal, node, '0', nil)
  rescue Away, Moved
    mark = ballot
    @nodes.each { |other| other.admit('mark', other.fence, goal[0], mark) if other.fence rescue nil }
  end

  # R1-R3: [replies] or nil, and whether to read again (R4).
  def read_round(register, keys, commands)
    epoch, voting = voters
    at_ms = [Anarcho.now_us, @last_us].max / 1000
    ends = clock + @timeout
    answers = ask(voting, @majority, ends) { |node| node.call('read', [record(register), *keys], [at_ms, *encoded(commands)], epoch, @timeout) }
    reads = answers.select { |_, reply| reply[0] == 'READ' }
    absents = answers.values.select { |reply| reply[0] == 'ABSENT' }
    all = reads.values
    return [all[0][6]] if all.size == @nodes.size && all.map { |reply| [reply[1], reply[4], reply[5]] }.uniq.size == 1

    source, settled = reads.find { |_, reply| all.count { |other| holds?(reply, other) } >= @majority }
    if settled
      goal = [register, settled[2], settled[4], settled[5], source]
      stale = answers.select { |_, other| other[0] == 'ABSENT' || (other[0] == 'READ' && other[1] <= settled[2] && !holds?(settled, other)) }
      stale.each_key { |node| mend(goal, node) }
      return [settled[6]]
    end
    return [absents[0][1]] if absents.size >= @majority

    all.each { |reply| observe(reply[1]) }
    [nil, answers.size == voting.size]
  end

  def holds?(reply, other)
    reply[2] != '' && reply[3] == reply[4] && other[2, 4] == reply[2, 4] && other[7].to_i <= reply[2][0, 13].to_i
  end
end
