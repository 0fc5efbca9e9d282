namespace ZeroFlow.Host.Configuration;

/// <summary>
/// Finds the passphrase: <c>--passphrase-file</c> over the environment over the file that zeroflow.json names. It is
/// never a setting itself, so it can stand neither on a command line nor in a configuration file.
/// </summary>
internal sealed class PassphraseSource(SettingLayers layers, ServeInputs inputs, ConfigurationErrors errors)
{
    /// <summary>The environment variable that holds the passphrase.</summary>
    public const string Variable = "ZEROFLOW_PASSPHRASE";

    private const int CommandLineLayer = 0;
    private const int EnvironmentLayer = 1;

    /// <summary>Reads it; null with an error added, or without one when none is <paramref name="required"/>.</summary>
    public Secret? Read(bool required)
    {
        string? value = inputs.Environment[Variable] as string;
        Setting? file = layers.Find(SettingKeys.PassphraseFile, out int layer);
        if (file is not null && (value is null || layer == CommandLineLayer)) return ReadFile(file);
        if (file is not null && layer == EnvironmentLayer)
        {
            errors.Add($"Both {Variable} and {file.Origin} are set; set one of them.");
            return null;
        }

        if (value is not null) return FromText(value, $"The environment variable {Variable}");
        if (required) errors.Add($"There is no passphrase: set {Variable}, or name a file with --passphrase-file.");
        return null;
    }

    /// <summary>
    /// Reads a passphrase file, which nobody but its owner may read or write. Line ends at its end do not count.
    /// </summary>
    /// <exception cref="IOException">It cannot be read, or others could; the message is one sentence.</exception>
    public static Secret ReadFile(string path)
    {
        const string what = "The passphrase file";
        string text = PrivateFile.Read(what, path) ?? throw new IOException($"{what} {path} does not exist.");
        return text.Length > 0 ? new Secret(text) : throw new IOException($"{what} {path} is empty.");
    }

    private Secret? ReadFile(Setting file)
    {
        try
        {
            return ReadFile(Path.GetFullPath(file.Value, inputs.WorkingDirectory));
        }
        catch (Exception fault) when (fault is IOException or ArgumentException)
        {
            errors.AddWithoutValue(file, fault.Message);
            return null;
        }
    }

    private Secret? FromText(string value, string origin)
    {
        string text = value.TrimEnd('\r', '\n');
        if (text.Length > 0) return new Secret(text);
        errors.Add($"{origin} is empty.");
        return null;
    }
}
