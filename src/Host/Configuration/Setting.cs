namespace ZeroFlow.Host.Configuration;

/// <summary>One configured value and where it came from.</summary>
/// <param name="Key">Key with <c>:</c> between its parts, as written; keys do not distinguish case.</param>
/// <param name="Value">The text of the value.</param>
/// <param name="Origin">The place in words for messages: an option, an environment variable, a file.</param>
internal sealed record Setting(string Key, string Value, string Origin)
{
    /// <summary>Names the place only: a value may be a secret that was put where none belongs.</summary>
    public override string ToString() => $"{Key} ({Origin})";
}

/// <summary>Collects what is wrong with a configuration, so that all of it is said at once. Not thread-safe.</summary>
internal sealed class ConfigurationErrors
{
    private readonly List<string> _messages = [];

    /// <summary>What was found so far, one sentence each, in the order of discovery.</summary>
    public IReadOnlyList<string> Messages => _messages;

    /// <summary>True when something is wrong.</summary>
    public bool Any => _messages.Count > 0;

    /// <summary>Adds a finding that is not about one value.</summary>
    public void Add(string message) => _messages.Add(message);

    /// <summary>Adds a value that is not allowed. Never call it with a secret: the value is shown.</summary>
    public void Add(Setting setting, string key, string allowed) =>
        _messages.Add($"{key} is \"{setting.Value}\" ({setting.Origin}), but must be {allowed}.");

    /// <summary>Adds a finding about a key whose value had better not be shown.</summary>
    public void AddWithoutValue(Setting setting, string problem) =>
        _messages.Add($"{setting.Key} ({setting.Origin}): {problem}");
}
