using System.Collections;
using ZeroFlow.Host.Configuration;

namespace ZeroFlow.Host.Tests.Configuration;

/// <summary>The three layers of a configuration as a test states them.</summary>
internal sealed class SettingsSource : IDisposable
{
    private readonly TempDirectory _directory = new();
    private readonly List<Setting> _commandLine = [];
    private readonly Dictionary<string, string> _environment = [];
    private string? _configFile;

    public string WorkingDirectory => _directory.Path;

    /// <summary>A source in which everything that must be set is set.</summary>
    public static SettingsSource Complete() => new SettingsSource()
        .Variable("ZEROFLOW__STORE", "file:///srv/store")
        .Variable("ZEROFLOW__DATA", "/srv/data")
        .Variable("ZEROFLOW_PASSPHRASE", "correct horse");

    public SettingsSource Option(string key, string value)
    {
        _commandLine.Add(new Setting(key, value, "--option"));
        return this;
    }

    public SettingsSource Variable(string name, string value)
    {
        _environment[name] = value;
        return this;
    }

    public SettingsSource Json(string json, string name = "zeroflow.json")
    {
        _directory.Write(name, json);
        return this;
    }

    public SettingsSource Config(string path)
    {
        _configFile = path;
        return this;
    }

    public string File(string name, string content, UnixFileMode mode) => _directory.Write(name, content, mode);

    public ServeSettings Read()
    {
        var errors = new ConfigurationErrors();
        bool isGood = ServeSettingsReader.TryRead(Inputs, errors, out ServeSettings? settings);
        Assert.True(isGood, string.Join('\n', errors.Messages));
        return settings!;
    }

    public IReadOnlyList<string> ReadErrors()
    {
        var errors = new ConfigurationErrors();
        Assert.False(ServeSettingsReader.TryRead(Inputs, errors, out _));
        return errors.Messages;
    }

    public void Dispose() => _directory.Dispose();

    private ServeInputs Inputs =>
        new(_commandLine, (IDictionary)_environment, _configFile, _directory.Path);
}
