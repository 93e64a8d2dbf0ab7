# The scripts of lua/, pasted by the rule of the contract.
require 'digest'

module Scripts
  FOLDER = [ENV['ANARCHO_LUA'], File.join(__dir__, 'lua'), File.join(__dir__, '../../lua')].compact.find { |place| File.exist?(File.join(place, 'apply.lua')) }

  def self.text(name)
    File.binread(File.join(FOLDER, name))
  end

  ALL = Dir[File.join(FOLDER, '*.lua')].map { |path| File.basename(path, '.lua') }.to_h do |name|
    body = text("#{name}.lua")
    uses = body[/^-- USES(.*)$/, 1].split
    [name, uses.map { |part| text("lib/#{part}.lua") }.join + body]
  end.freeze
  SHA = ALL.transform_values { |text| Digest::SHA1.hexdigest(text) }.freeze
  CONTRACT = text('lib/contract.lua')[/local contract = '(\d+)'/, 1]
end
