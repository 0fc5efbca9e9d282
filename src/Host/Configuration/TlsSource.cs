using ZeroFlow.Nbd.Tls;

namespace ZeroFlow.Host.Configuration;

/// <summary>
/// Reads how TLS is offered, and checks the files before anything is served: a server that cannot prove who it is had
/// better not start.
/// </summary>
internal sealed class TlsSource(SettingLayers layers, ServeInputs inputs, ConfigurationErrors errors)
{
    private const string Off = "off";
    private const string Allow = "allow";
    private const string Require = "require";

    /// <summary>Reads it; null when TLS is off, or with an error added.</summary>
    public TlsOptions? Read()
    {
        Setting? certificate = layers.Find(SettingKeys.TlsCertificate);
        Setting? key = layers.Find(SettingKeys.TlsKey);
        Setting? clientCa = layers.Find(SettingKeys.TlsClientCa);
        bool isAnySet = certificate is not null || key is not null || clientCa is not null;

        // Whoever names a certificate expects it to be used; only "off" itself says that it is not.
        if (ReadMode(otherwise: isAnySet ? Require : Off) is not { } mode || mode == Off) return null;
        RequireSet(certificate, SettingKeys.TlsCertificate, "--tls-certificate");
        RequireSet(key, SettingKeys.TlsKey, "--tls-key");
        if (certificate is null || key is null) return null;

        string certificateFile = PathOf(certificate);
        string keyFile = PathOf(key);
        if (Check(certificate, () => TlsFiles.CheckCertificate(certificateFile)))
            Check(key, () => TlsFiles.CheckKey(keyFile, certificateFile));
        if (clientCa is not null) Check(clientCa, () => TlsFiles.CheckAuthority(PathOf(clientCa)));
        return new TlsOptions
        {
            IsRequired = mode == Require,
            CertificateFile = certificateFile,
            KeyFile = keyFile,
            ClientAuthorityFile = clientCa is null ? null : PathOf(clientCa),
        };
    }

    private string? ReadMode(string otherwise)
    {
        Setting? setting = layers.Find(SettingKeys.TlsMode);
        if (setting is null) return otherwise;
        string? mode = new[] { Off, Allow, Require }.FirstOrDefault(
            known => known.Equals(setting.Value, StringComparison.OrdinalIgnoreCase));
        if (mode is null) errors.Add(setting, SettingKeys.TlsMode, $"{Off}, {Allow} or {Require}");
        return mode;
    }

    private void RequireSet(Setting? setting, string key, string option)
    {
        if (setting is null) errors.Add($"{key} is not set, but TLS needs it: name a PEM file with {option}.");
    }

    private bool Check(Setting setting, Action check)
    {
        try
        {
            if (setting.Value.Length == 0) throw new IOException("It is empty, but must be a PEM file.");
            check();
            return true;
        }
        catch (IOException fault)
        {
            errors.AddWithoutValue(setting, fault.Message);
            return false;
        }
    }

    private string PathOf(Setting setting) =>
        setting.Value.Length == 0 ? "" : Path.GetFullPath(setting.Value, inputs.WorkingDirectory);
}
