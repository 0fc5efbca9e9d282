using System.Collections;
using Microsoft.Extensions.Configuration;

namespace ZeroFlow.Host.Configuration;

/// <summary>
/// The three layers of a configuration, the later over the earlier: JSON file, environment, command line.
/// Immutable once read.
/// </summary>
/// <remarks>
/// A layer replaces a list of exports as a whole. Merging lists by index, as configuration providers do when stacked,
/// would leave the second export of the file behind a single one on the command line.
/// </remarks>
internal sealed class SettingLayers
{
    /// <summary>
    /// What the names of environment variables begin with; <c>__</c> also separates the parts of a key.
    /// </summary>
    public const string EnvironmentPrefix = "ZEROFLOW__";

    /// <summary>The file that is read from the working directory when it is there and no other is named.</summary>
    public const string DefaultFile = "zeroflow.json";

    private readonly IReadOnlyList<Setting>[] _highestFirst;

    private SettingLayers(params IReadOnlyList<Setting>[] highestFirst) => _highestFirst = highestFirst;

    /// <summary>Reads the layers. What cannot be read, and every unknown or repeated key, is an error.</summary>
    public static SettingLayers Read(ServeInputs inputs, ConfigurationErrors errors)
    {
        var layers = new SettingLayers(
            inputs.CommandLine,
            FromEnvironment(inputs.Environment, errors),
            FromFile(inputs.ConfigFile, inputs.WorkingDirectory, errors));
        foreach (IReadOnlyList<Setting> layer in layers._highestFirst) RejectUnknownAndRepeated(layer, errors);
        return layers;
    }

    /// <summary>
    /// The value that wins, and how high its layer is: 0 for the command line, 1 environment, 2 file.
    /// </summary>
    public Setting? Find(string key, out int layer)
    {
        for (layer = 0; layer < _highestFirst.Length; layer++)
        {
            Setting? found = _highestFirst[layer].FirstOrDefault(
                setting => setting.Key.Equals(key, StringComparison.OrdinalIgnoreCase));
            if (found is not null) return found;
        }

        return null;
    }

    /// <inheritdoc cref="Find(string, out int)"/>
    public Setting? Find(string key) => Find(key, out _);

    /// <summary>
    /// The elements of a list in the highest layer that has any; a single text may hold several, separated by commas.
    /// </summary>
    public IReadOnlyList<Setting> FindList(string list)
    {
        foreach (IReadOnlyList<Setting> layer in _highestFirst)
        {
            List<Setting> elements =
            [
                .. layer
                    .Where(s => SettingKeys.TryFind(s.Key, out string? known) && known == list)
                    .OrderBy(s => SettingKeys.TryGetIndex(list, s.Key, out int index) ? index : -1)
                    .SelectMany(s => s.Value
                        .Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                        .Select(value => s with { Value = value })),
            ];
            if (elements.Count > 0) return elements;
        }

        return [];
    }

    private static List<Setting> FromEnvironment(IDictionary environment, ConfigurationErrors errors)
    {
        var settings = new List<Setting>();
        foreach (DictionaryEntry entry in environment)
        {
            string name = (string)entry.Key;
            if (name.StartsWith(EnvironmentPrefix, StringComparison.OrdinalIgnoreCase))
            {
                string key = name[EnvironmentPrefix.Length..].Replace("__", ":", StringComparison.Ordinal);
                settings.Add(new Setting(key, (string?)entry.Value ?? "", $"environment variable {name}"));
            }
            else
            {
                RejectNearMiss(name, errors);
            }
        }

        return settings;
    }

    // Other programs may own variables that begin with ZEROFLOW_, but one that spells a key of ours with a single
    // underscore was meant for us, and ignoring it would serve something else than was asked for.
    private static void RejectNearMiss(string name, ConfigurationErrors errors)
    {
        const string shortPrefix = "ZEROFLOW_";
        if (!name.StartsWith(shortPrefix, StringComparison.OrdinalIgnoreCase)) return;
        string key = name[shortPrefix.Length..];
        if (SettingKeys.TryFind(key, out string? known))
        {
            errors.Add(
                $"The environment variable {name} is not read: {known} is set by "
                + $"{EnvironmentPrefix}{key.ToUpperInvariant()}, with two underscores.");
        }
    }

    private static List<Setting> FromFile(string? named, string workingDirectory, ConfigurationErrors errors)
    {
        string path = Path.GetFullPath(named ?? DefaultFile, workingDirectory);
        if (!File.Exists(path))
        {
            if (named is not null) errors.Add($"--config is \"{named}\", but must be a file that exists.");
            return [];
        }

        var settings = new List<Setting>();
        try
        {
            IConfigurationRoot file = new ConfigurationBuilder().AddJsonFile(path, optional: false).Build();
            Collect(file, $"file {path}", settings);
        }
        catch (Exception fault) when (fault is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            string reason = (fault.InnerException ?? fault).Message.ReplaceLineEndings(" ");
            errors.Add($"The configuration file {path} cannot be read: {reason}");
        }

        return settings;
    }

    private static void Collect(IConfiguration parent, string origin, List<Setting> settings)
    {
        foreach (IConfigurationSection section in parent.GetChildren())
        {
            if (section.GetChildren().Any()) Collect(section, origin, settings);
            else settings.Add(new Setting(section.Path, section.Value ?? "", origin));
        }
    }

    private static void RejectUnknownAndRepeated(IReadOnlyList<Setting> layer, ConfigurationErrors errors)
    {
        var seen = new Dictionary<string, Setting>(StringComparer.OrdinalIgnoreCase);
        foreach (Setting setting in layer)
        {
            if (!SettingKeys.TryFind(setting.Key, out _))
                errors.AddWithoutValue(setting, SettingKeys.DescribeAllowed(setting.Key));
            else if (!seen.TryAdd(setting.Key, setting))
                errors.AddWithoutValue(setting, $"the key is also set by {seen[setting.Key].Origin}; set it once.");
        }
    }
}

/// <summary>Where a configuration is read from.</summary>
/// <param name="CommandLine">The settings of the command line.</param>
/// <param name="Environment">The environment variables.</param>
/// <param name="ConfigFile">The file that <c>--config</c> names, if any.</param>
/// <param name="WorkingDirectory">Where relative paths begin.</param>
internal sealed record ServeInputs(
    IReadOnlyList<Setting> CommandLine, IDictionary Environment, string? ConfigFile, string WorkingDirectory);
