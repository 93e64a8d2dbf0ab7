# A connection to one server: RESP2 over a socket, one call at a time. Errors are values, with their whole text.
require 'socket'
require 'uri'

class ServerError < StandardError; end

class Resp
  def initialize(url, timeout = 2)
    uri = URI(url)
    @timeout = timeout
    @socket = Socket.tcp(uri.host, uri.port || 6379, connect_timeout: 1)
    @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    @buffer = String.new(encoding: Encoding::BINARY)
    call('AUTH', *[uri.user, uri.password].compact.reject(&:empty?)) if uri.password
  end

  def call(*words)
    text = "*#{words.size}\r\n".b
    words.each { |word| text << "$#{word.to_s.bytesize}\r\n" << word.to_s.b << "\r\n" }
    @socket.write(text)
    read
  end

  def close
    @socket.close
  rescue IOError
    nil
  end

  private

  def fill
    raise IOError, 'it does not answer' unless @socket.wait_readable(@timeout)

    @buffer << @socket.readpartial(65_536)
  end

  def line
    fill until (at = @buffer.index("\r\n"))
    found = @buffer.slice!(0, at + 2)
    found[0, at]
  end

  def read
    text = line
    rest = text[1..]
    case text[0]
    when '+' then rest
    when '-' then ServerError.new(rest)
    when ':' then rest.to_i
    when '$' then rest == '-1' ? nil : bulk(rest.to_i)
    when '*' then rest == '-1' ? nil : Array.new(rest.to_i) { read }
    else raise IOError, "no RESP2: #{text}"
    end
  end

  def bulk(size)
    fill while @buffer.bytesize < size + 2
    @buffer.slice!(0, size + 2)[0, size]
  end
end
